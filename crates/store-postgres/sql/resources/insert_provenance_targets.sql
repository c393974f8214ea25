insert into provenance_target (account_id, provenance_seq, target_type_id, target_id)
select $1, entry.provenance_seq, entry.target_type_id, coalesce(entry.target_id, '')
from unnest($2::bigint[], $3::smallint[], $4::bytea[]) as entry (provenance_seq, target_type_id, target_id)
