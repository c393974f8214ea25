select distinct reference.target_id from reference
join version as source
    on source.account_id = $2 and source.type_id = $3 and source.seq = reference.source_seq
join version as latest
    on latest.account_id = $2 and latest.type_id = $3 and latest.id = source.id and latest.replaced_by_seq is null
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
