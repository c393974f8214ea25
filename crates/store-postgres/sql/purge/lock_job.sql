select 1 from purge_job where job_number = $1 for no key update
