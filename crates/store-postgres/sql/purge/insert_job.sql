insert into purge_job (
    job_id, client_id, account_id, type_ids, before_ms, include_deleted, level, filtered_type_ids, reason, bases, watermark_seq, state,
    phase, created_on_ms, erasure
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'queued', 'plan', $12, $13)
returning job_number
