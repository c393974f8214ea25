update version
set replaced_by_seq = ($4::bigint[])[array_position($3::bigint[], seq)], index_values = null, index_keys = null, words = null
where account_id = $1 and type_id = $2 and seq = any($3::bigint[]) and replaced_by_seq is null
