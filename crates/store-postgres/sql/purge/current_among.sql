select seq from version
where account_id = $1 and type_id = $2 and seq = any($3::bigint[]) and replaced_by_seq is null
order by seq
