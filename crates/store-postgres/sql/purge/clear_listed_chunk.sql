delete from purge_listed
where
    job_number = $1
    and (account_id, role, type_id, seq) in (
        select account_id, role, type_id, seq from purge_listed
        where job_number = $1
        order by account_id, role, type_id, seq
        limit $2
    )
