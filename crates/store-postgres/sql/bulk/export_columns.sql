select
    job_number, job_id, client_id, account_id, type_ids, since_ms, watermark_seq, transaction_time_ms, state, created_on_ms,
    completed_on_ms, expires_on_ms, failure, level, bases,
    (select question from export_question where export_question.job_number = export_job.job_number)
from export_job
where job_number = $1
