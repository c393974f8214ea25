update purge_job set companions_prepared = 1 where job_number = ?1
