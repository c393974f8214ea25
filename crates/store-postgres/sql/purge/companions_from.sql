with listed as materialized (
    select type_id, seq from purge_listed
    where job_number = $1 and account_id = $2 and role = 'companion' and (type_id, seq) > ($3, $4)
    order by type_id, seq
    limit $5
)

select
    listed.type_id, listed.seq, stored.id, coalesce(stored.is_current, false), coalesce(stored.body_bytes, 0)::bigint,
    coalesce(stored.targets, 0)
from listed
left join lateral (
    select
        version.id, version.replaced_by_seq is null as is_current, length(version.body) as body_bytes,
        cardinality(version.provenance_targets) as targets
    from version
    where version.account_id = $2 and version.type_id = listed.type_id and version.seq = listed.seq
    limit 1
) as stored on true
order by listed.type_id, listed.seq
