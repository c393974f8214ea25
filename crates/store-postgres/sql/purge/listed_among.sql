select listed.role, entry.type_id, entry.seq
from unnest($3::smallint[], $4::bigint[]) as entry (type_id, seq)
cross join lateral (
    select purge_listed.role from purge_listed
    where
        purge_listed.job_number = $1
        and purge_listed.account_id = $2
        and purge_listed.role in ('target', 'companion')
        and purge_listed.type_id = entry.type_id
        and purge_listed.seq = entry.seq
    limit 2
) as listed
