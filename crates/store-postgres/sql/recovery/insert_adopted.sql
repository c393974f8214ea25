insert into purge_job (
    job_id, client_id, account_id, type_ids, before_ms, include_deleted, level, filtered_type_ids, bases, watermark_seq, state, phase,
    companions_prepared, created_on_ms, reason
)
select
    $1, $2, $3, $4, $5, $6, $8, $9, '', last_value, 'queued', 'plan', true, $7,
    'applied again after a restore; why it was asked for is not kept in the purge journal'
from place
returning job_number
