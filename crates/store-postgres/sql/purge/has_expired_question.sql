select exists (
    select 1 from purge_question
    inner join purge_job on purge_job.job_number = purge_question.job_number
    where purge_job.state = 'failed' and purge_job.completed_on_ms <= $1
)
