select coalesce((select seq from version where account_id = $1 and type_id = $2 order by seq desc limit 1), 0)
