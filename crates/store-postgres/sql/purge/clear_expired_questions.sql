delete from purge_question
where exists (
    select 1 from purge_job
    where purge_job.job_number = purge_question.job_number and purge_job.state = 'failed' and purge_job.completed_on_ms <= $1
)
