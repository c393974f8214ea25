insert into purge_job (
    job_id, client_id, account_id, type_ids, before_ms, include_deleted, level, filtered_type_ids, bases, watermark_seq, state, phase,
    companions_prepared, created_on_ms, reason
)
select
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '', last_seq, 'queued', 'plan', 1, ?9,
    'applied again after a restore; why it was asked for is not kept in the purge journal'
from commit_order where only_row = 1
