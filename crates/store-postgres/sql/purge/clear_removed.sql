delete from purge_removed where job_number = $1
