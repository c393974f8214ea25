update purge_batch set state = 'pending' where job_number = $1 and state = 'running'
