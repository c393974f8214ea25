select stored.seq, stored.previous_seq, stored.body_bytes
from purge_listed
cross join lateral (
    select version.seq, version.previous_seq, coalesce(length(version.body), 0)::bigint as body_bytes
    from version
    where version.account_id = $2 and version.type_id = $4 and version.seq = purge_listed.seq
    limit 1
) as stored
where
    purge_listed.job_number = $1
    and purge_listed.account_id = $2
    and purge_listed.role = $3
    and purge_listed.type_id = $4
    and purge_listed.seq between $5 and $6
order by stored.seq
