update purge_batch set state = 'running', attempts = attempts + 1 where job_number = $1 and batch = $2 and state = 'pending'
