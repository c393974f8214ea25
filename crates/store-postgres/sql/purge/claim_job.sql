update purge_job
set state = $3, fence = fence + 1, lease_expires_on_ms = $4, last_updated_ms = $5
where job_number = $1 and state = $2
