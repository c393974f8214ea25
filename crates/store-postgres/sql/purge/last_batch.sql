select coalesce(max(batch), 0) from purge_batch where job_number = $1
