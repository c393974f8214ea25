delete from hold_target where hold_number = $1
