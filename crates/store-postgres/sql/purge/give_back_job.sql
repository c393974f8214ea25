update purge_job set lease_expires_on_ms = null
where job_id = $1 and fence = $2 and state in ('running', 'canceling')
