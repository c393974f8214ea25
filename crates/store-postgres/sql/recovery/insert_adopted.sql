insert into purge_job (
    job_id, client_id, account_id, type_ids, before_ms, include_deleted, level, filtered_type_ids, bases, watermark_seq, state, phase,
    companions_prepared, created_on_ms
)
select $1, $2, $3, $4, $5, $6, $8, $9, '', last_value, 'queued', 'plan', true, $7 from place
returning job_number
