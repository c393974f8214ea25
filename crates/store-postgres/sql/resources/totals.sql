select type_id, sum(resources)::bigint from type_total where account_id = $1 group by type_id order by type_id
