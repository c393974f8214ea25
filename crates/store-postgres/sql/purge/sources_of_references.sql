select source.type_id, target.id, found.source_seq, found.id
from unnest($2::smallint[]) as source (type_id)
cross join unnest($4::bytea[]) as target (id)
cross join lateral (
    select reference.source_seq, stored.id
    from reference
    cross join lateral (
        select version.id from version
        where version.account_id = $1 and version.type_id = source.type_id and version.seq = reference.source_seq
        limit 1
    ) as stored
    where
        reference.account_id = $1
        and reference.source_type_id = source.type_id
        and reference.target_type_id = $3
        and reference.target_id = target.id
    limit $5
) as found
limit $5
