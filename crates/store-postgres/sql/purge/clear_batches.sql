delete from purge_batch where job_number = $1
