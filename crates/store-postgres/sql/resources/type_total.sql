select coalesce(sum(resources), 0)::bigint from type_total where account_id = $1 and type_id = $2
