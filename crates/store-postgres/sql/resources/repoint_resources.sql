update resource set seq = ($4::bigint[])[array_position($3::bytea[], id)]
where account_id = $1 and type_id = $2 and id = any($3::bytea[])
