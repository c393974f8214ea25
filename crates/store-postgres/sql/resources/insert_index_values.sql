insert into index_value (account_id, type_id, part, path_id, value, seq)
select $1, $2, $3, entry.path_id, entry.value, $6
from unnest($4::integer[], $5::bytea[]) as entry (path_id, value)
