update purge_batch set state = 'pending', attempts = attempts - 1, not_before_ms = 0
where job_number = $1 and batch = $2 and state = 'running'
