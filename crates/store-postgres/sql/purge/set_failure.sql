update purge_job set failure = $2 where job_number = $1
