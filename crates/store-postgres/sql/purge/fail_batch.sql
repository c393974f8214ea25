update purge_batch set state = $3, cause = $4, not_before_ms = $5 where job_number = $1 and batch = $2 and state = 'running'
