select stored.seq, stored.id, stored.kind, stored.previous_seq, stored.index_values
from purge_listed
cross join lateral (
    select version.seq, version.id, version.kind, version.previous_seq, version.index_values
    from version
    where version.account_id = $2 and version.type_id = $4 and version.seq = purge_listed.seq and version.replaced_by_seq is null
    limit 1
) as stored
where
    purge_listed.job_number = $1
    and purge_listed.account_id = $2
    and purge_listed.role = $3
    and purge_listed.type_id = $4
    and purge_listed.seq between $5 and $6
order by purge_listed.seq
