select count(*) from purge_question
where
    not exists (
        select 1 from purge_job
        where
            purge_job.job_number = purge_question.job_number
            and purge_job.state in ('queued', 'running', 'canceling', 'failed')
            and purge_job.initialized_on_ms is null
    )
