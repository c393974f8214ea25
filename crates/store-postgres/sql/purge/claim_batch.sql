update purge_batch set state = 'running', attempts = attempts + 1, lease_expires_on_ms = $4, is_shared = $5
where job_number = $1 and batch = $2 and attempts = $3 and state in ('pending', 'running')
