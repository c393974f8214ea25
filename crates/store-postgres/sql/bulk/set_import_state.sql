update import_job set state = $3, last_updated_ms = $4 where job_number = $1 and state = $2
