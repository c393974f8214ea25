select coalesce(max(job_number), 0) from purge_job where client_id = $1
