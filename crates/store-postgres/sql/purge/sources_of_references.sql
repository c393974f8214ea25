select reference.source_type_id, reference.target_id, reference.source_seq, version.id
from reference
join version
    on version.account_id = $1 and version.type_id = reference.source_type_id and version.seq = reference.source_seq
where
    reference.account_id = $1
    and reference.source_type_id = any($2::smallint[])
    and reference.target_type_id = $3
    and reference.target_id = any($4::bytea[])
limit $5
