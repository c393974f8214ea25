select exists (select 1 from purge_batch where job_number = $1 and state = 'running' and kind = $2)
