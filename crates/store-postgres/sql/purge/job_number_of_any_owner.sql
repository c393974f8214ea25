select job_number from purge_job where job_id = $1
