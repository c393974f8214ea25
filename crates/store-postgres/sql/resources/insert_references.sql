insert into reference (account_id, source_type_id, target_type_id, target_id, source_seq)
select $1, $2, entry.target_type_id, entry.target_id, $5
from unnest($3::smallint[], $4::bytea[]) as entry (target_type_id, target_id)
