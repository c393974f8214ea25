select
    job_number, job_id, client_id, account_id, type_ids, since_ms, watermark_seq, transaction_time_ms, state, created_on_ms,
    completed_on_ms, expires_on_ms, failure, fence
from export_job
where job_number = ?1
