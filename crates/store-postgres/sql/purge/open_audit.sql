insert into purge_audit (
    job_number, job_id, client_id, account_id, type_ids, before_ms, include_deleted, level, filtered_type_ids, reason, watermark_seq,
    opened_on_ms
)
select
    job_number, job_id, client_id, account_id, type_ids, before_ms, include_deleted, level, filtered_type_ids, reason, watermark_seq,
    created_on_ms
from purge_job
where job_number = $1
