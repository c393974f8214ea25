select resources from type_total where account_id = $1 and type_id = $2
