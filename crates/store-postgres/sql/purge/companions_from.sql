select
    purge_listed.type_id, purge_listed.seq, version.id, version.replaced_by_seq is null, coalesce(length(version.body), 0)::bigint,
    coalesce(cardinality(version.provenance_targets), 0)
from purge_listed
left join version
    on version.account_id = $2 and version.type_id = purge_listed.type_id and version.seq = purge_listed.seq
where
    purge_listed.job_number = $1
    and purge_listed.account_id = $2
    and purge_listed.role = 'companion'
    and (purge_listed.type_id, purge_listed.seq) > ($3, $4)
order by purge_listed.type_id, purge_listed.seq
limit $5
