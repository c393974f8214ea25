update purge_job
set
    state = 'queued',
    phase = 'plan',
    watermark_seq = (select last_value from place),
    companions_prepared = true,
    initialized_on_ms = null,
    completed_on_ms = null,
    lease_expires_on_ms = null,
    failure = null
where job_number = $1
