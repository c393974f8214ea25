select purge_listed.seq, version.id, version.replaced_by_seq is null, coalesce(cardinality(version.provenance_targets), 0)
from purge_listed
left join version
    on version.account_id = $2 and version.type_id = $4 and version.seq = purge_listed.seq
where
    purge_listed.job_number = $1
    and purge_listed.account_id = $2
    and purge_listed.role = $3
    and purge_listed.type_id = $4
    and purge_listed.seq between $5 and $6
order by purge_listed.seq
