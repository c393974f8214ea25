insert into reference (account_id, source_type_id, source_seq, target_type_id, target_id)
select $1, entry.source_type_id, entry.source_seq, entry.target_type_id, entry.target_id
from unnest($2::smallint[], $3::bigint[], $4::smallint[], $5::bytea[]) as entry (source_type_id, source_seq, target_type_id, target_id)
