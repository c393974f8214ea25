delete from purge_held where job_number = $1
