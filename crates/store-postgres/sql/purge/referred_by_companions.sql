select distinct reference.target_id
from reference
cross join lateral (
    select version.id from version
    where version.account_id = $2 and version.type_id = $3 and version.seq = reference.source_seq
    limit 1
) as source
cross join lateral (
    select version.seq from version
    where version.account_id = $2 and version.type_id = $3 and version.id = source.id and coalesce(version.replaced_by_seq, 0) = 0
    limit 1
) as latest
-- In a preview this table is a local one, which Citus joins, but not laterally.
join purge_listed
    on
        purge_listed.job_number = $1
        and purge_listed.account_id = $2
        and purge_listed.role = 'companion'
        and purge_listed.type_id = $3
        and purge_listed.seq = latest.seq
where reference.account_id = $2 and reference.source_type_id = $3 and reference.target_type_id = $4 and reference.target_id > $5
order by reference.target_id
limit $6
