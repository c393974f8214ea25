select count(*) from purge_companion
where
    not exists (
        select 1 from purge_job
        where purge_job.job_number = purge_companion.job_number and purge_job.state = 'failed'
    )
