update purge_batch set state = 'pending', attempts = 0, not_before_ms = 0 where job_number = $1 and state = 'failed'
