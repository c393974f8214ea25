update purge_batch set state = 'failed', cause = coalesce(cause, $2) where job_number = $1 and state in ('pending', 'running')
