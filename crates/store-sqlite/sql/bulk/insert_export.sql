insert into export_job (
    job_id, client_id, account_id, type_ids, since_ms, watermark_seq, transaction_time_ms, state, created_on_ms
)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued', ?8)
