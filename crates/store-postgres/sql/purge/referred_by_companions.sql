select distinct reference.target_id from reference
join version
    on version.account_id = $2 and version.type_id = $3 and version.seq = reference.source_seq
join resource
    on resource.account_id = $2 and resource.type_id = $3 and resource.id = version.id
join purge_listed
    on
        purge_listed.job_number = $1
        and purge_listed.account_id = $2
        and purge_listed.role = 'companion'
        and purge_listed.type_id = $3
        and purge_listed.seq = resource.seq
where reference.account_id = $2 and reference.source_type_id = $3 and reference.target_type_id = $4 and reference.target_id > $5
order by reference.target_id
limit $6
