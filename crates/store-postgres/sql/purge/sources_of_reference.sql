select reference.source_seq, version.id
from reference
join version
    on version.account_id = $1 and version.type_id = reference.source_type_id and version.seq = reference.source_seq
where
    reference.account_id = $1
    and reference.source_type_id = $2
    and reference.target_type_id = $3
    and reference.target_id = $4
order by reference.source_seq
