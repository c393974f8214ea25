select last_value from place
