with gone as (
    delete from version
    where
        account_id = $2
        and type_id = $4
        and seq in (
            select seq from purge_listed
            where job_number = $1 and account_id = $2 and role = $3 and type_id = $4 and seq between $5 and $6
        )
        and replaced_by_seq is null
    returning id, seq, previous_seq, kind
)

select id, seq, previous_seq, kind from gone order by seq
