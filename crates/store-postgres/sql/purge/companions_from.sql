select
    purge_listed.type_id, purge_listed.seq, stored.id, coalesce(stored.is_current, false), coalesce(stored.body_bytes, 0)::bigint,
    coalesce(stored.targets, 0)
from purge_listed
left join lateral (
    select
        version.id, version.replaced_by_seq is null as is_current, length(version.body) as body_bytes,
        cardinality(version.provenance_targets) as targets
    from version
    where version.account_id = $2 and version.type_id = purge_listed.type_id and version.seq = purge_listed.seq
    limit 1
) as stored on true
where
    purge_listed.job_number = $1
    and purge_listed.account_id = $2
    and purge_listed.role = 'companion'
    and (purge_listed.type_id, purge_listed.seq) > ($3, $4)
order by purge_listed.type_id, purge_listed.seq
limit $5
