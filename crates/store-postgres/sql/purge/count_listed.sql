with failed as materialized (
    select account_id, type_id, case kind when 'listed' then 'target' else 'companion' end as role, first_seq, last_seq
    from purge_batch
    where job_number = $1 and state = 'failed' and kind in ('listed', 'companions')
)

select count(*) from purge_listed
where
    job_number = $1
    and not exists (
        select 1 from failed
        where
            failed.role = purge_listed.role
            and failed.account_id = purge_listed.account_id
            and failed.type_id = purge_listed.type_id
            and purge_listed.seq between failed.first_seq and failed.last_seq
    )
