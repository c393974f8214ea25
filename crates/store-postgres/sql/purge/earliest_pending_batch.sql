select min(not_before_ms) from purge_batch where job_number = $1 and state = 'pending' and kind = $2
