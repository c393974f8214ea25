update purge_job set initialized_on_ms = $2, phase = 'execute' where job_number = $1 and initialized_on_ms is null
