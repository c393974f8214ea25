update purge_job set phase = $2 where job_number = $1
