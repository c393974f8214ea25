select count(*) from purge_companion
where
    job_number = ?1
    and not exists (
        select 1 from purge_batch
        where
            purge_batch.job_number = ?1
            and purge_batch.kind = 'companions'
            and purge_batch.state = 'failed'
            and purge_batch.account_id = purge_companion.account_id
            and purge_batch.type_id = purge_companion.type_id
            and purge_companion.seq between purge_batch.first_seq and purge_batch.last_seq
    )
