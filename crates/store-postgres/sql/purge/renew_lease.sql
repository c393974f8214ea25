update purge_job set lease_expires_on_ms = $3, last_updated_ms = $4
where job_id = $1 and fence = $2 and state in ('running', 'canceling')
returning job_number
