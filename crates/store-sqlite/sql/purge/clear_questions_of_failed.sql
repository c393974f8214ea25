delete from purge_question
where exists (
    select 1 from purge_job
    where
        purge_job.job_number = purge_question.job_number
        and purge_job.client_id = ?1
        and purge_job.state = 'failed'
        and (purge_job.account_id is null or ?2 is null or purge_job.account_id = ?2)
)
