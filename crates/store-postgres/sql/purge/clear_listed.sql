delete from purge_listed where job_number = $1
