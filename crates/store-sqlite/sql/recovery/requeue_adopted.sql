update purge_job
set
    state = 'queued',
    phase = 'plan',
    watermark_seq = (select last_seq from commit_order where only_row = 1),
    companions_prepared = 1,
    initialized_on_ms = null,
    completed_on_ms = null,
    lease_expires_on_ms = null,
    failure = null
where job_number = ?1
