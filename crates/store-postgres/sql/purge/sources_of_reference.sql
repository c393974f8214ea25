select reference.source_seq, source.id
from reference
cross join lateral (
    select version.id from version
    where version.account_id = $1 and version.type_id = reference.source_type_id and version.seq = reference.source_seq
    limit 1
) as source
where
    reference.account_id = $1
    and reference.source_type_id = $2
    and reference.target_type_id = $3
    and reference.target_id = $4
    and reference.source_seq > $5
order by reference.source_seq
limit $6
