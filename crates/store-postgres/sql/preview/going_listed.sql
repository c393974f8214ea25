with listed as materialized (
    select seq from purge_listed
    where job_number = $1 and account_id = $2 and role = $3 and type_id = $4 and seq between $5 and $6
)

select stored.seq, stored.previous_seq, stored.body_bytes
from listed
cross join lateral (
    select version.seq, version.previous_seq, coalesce(length(version.body), 0)::bigint as body_bytes
    from version
    where version.account_id = $2 and version.type_id = $4 and version.seq = listed.seq
    limit 1
) as stored
order by stored.seq
