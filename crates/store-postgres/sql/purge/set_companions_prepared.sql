update purge_job set companions_prepared = true where job_number = $1
