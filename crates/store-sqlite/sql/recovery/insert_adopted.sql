insert into purge_job (
    job_id, client_id, account_id, type_ids, before_ms, include_deleted, bases, watermark_seq, state, phase, companions_prepared,
    created_on_ms
)
select ?1, ?2, ?3, ?4, ?5, ?6, '', last_seq, 'queued', 'plan', 1, ?7 from commit_order where only_row = 1
