update purge_job
set
    state = $3,
    last_updated_ms = $4::bigint,
    completed_on_ms = case when $3 in ('successful', 'failed', 'canceled') then $4::bigint end,
    lease_expires_on_ms = case when $3 in ('running', 'canceling') then lease_expires_on_ms end
where job_number = $1 and state = $2
