delete from index_value
using unnest($4::integer[], $5::bytea[]) as entry (path_id, value)
where index_value.account_id = $1 and index_value.type_id = $2 and index_value.part = $3
    and index_value.path_id = entry.path_id and index_value.value = entry.value and index_value.seq = $6
