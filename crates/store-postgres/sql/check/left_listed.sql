select count(*) from purge_listed
where
    not exists (
        select 1 from purge_job
        where purge_job.job_number = purge_listed.job_number and purge_job.state = 'failed'
    )
