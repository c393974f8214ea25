update import_job
set state = $3, last_updated_ms = $4, completed_on_ms = $4, expires_on_ms = $5, failure = $6, lease_expires_on_ms = null
where job_number = $1 and state = $2
