select count(*) from purge_listed
where
    job_number = $1
    and not exists (
        select 1 from purge_batch
        where
            purge_batch.job_number = $1
            and purge_batch.kind = case purge_listed.role when 'target' then 'listed' else 'companions' end
            and purge_batch.state = 'failed'
            and purge_batch.account_id = purge_listed.account_id
            and purge_batch.type_id = purge_listed.type_id
            and purge_listed.seq between purge_batch.first_seq and purge_batch.last_seq
    )
