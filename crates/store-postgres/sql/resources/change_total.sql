update type_total set resources = resources + $3 where account_id = $1 and type_id = $2
