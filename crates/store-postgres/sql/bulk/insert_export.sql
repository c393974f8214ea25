insert into export_job (
    job_id, client_id, account_id, level, type_ids, since_ms, bases, watermark_seq, transaction_time_ms, state, created_on_ms
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', $10)
returning job_number
