-- The oldest job of another worker, behind job $2, that has a batch for whoever asks.
select job_number from purge_job
where
    state = 'running'
    and phase = 'execute'
    and job_number > $2
    and exists (
        select 1 from purge_batch
        where
            purge_batch.job_number = purge_job.job_number
            and (purge_batch.kind <> 'companions' or purge_job.companions_prepared)
            and (
                (purge_batch.state = 'pending' and purge_batch.not_before_ms <= $1)
                or (purge_batch.state = 'running' and purge_batch.lease_expires_on_ms <= $1)
            )
    )
order by job_number
limit 1
