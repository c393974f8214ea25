select
    job_number, job_id, client_id, account_id, type_ids, before_ms, include_deleted, reason, watermark_seq, state, phase, retry_count,
    created_on_ms, initialized_on_ms, last_updated_ms, completed_on_ms, failure, fence, companions_prepared, bases,
    level, filtered_type_ids,
    exists (select 1 from purge_question where purge_question.job_number = purge_job.job_number)
from purge_job
where job_number = ?1
