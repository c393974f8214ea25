select 1 from legal_hold where hold_number = $1 for no key update
