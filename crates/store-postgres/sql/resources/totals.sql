select type_id, resources from type_total where account_id = $1 order by type_id
