select entry.type_id, entry.seq
from unnest($3::smallint[], $4::bigint[]) as entry (type_id, seq)
cross join lateral (
    select 1 from purge_held
    where
        purge_held.job_number = $1
        and purge_held.account_id = $2
        and purge_held.type_id = entry.type_id
        and purge_held.seq = entry.seq
    limit 1
) as held
