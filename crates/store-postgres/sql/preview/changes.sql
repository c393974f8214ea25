select coalesce(sum(changes), 0)::bigint from type_total where account_id = $1
