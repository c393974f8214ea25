update export_job
set state = $3, fence = fence + 1, lease_expires_on_ms = $4
where
    job_number = $1
    and state = $2
    and (lease_expires_on_ms is null or lease_expires_on_ms <= $5 or lease_expires_on_ms > $6)
