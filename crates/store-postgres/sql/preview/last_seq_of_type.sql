select coalesce(max(seq), 0) from version where account_id = $1 and type_id = $2
