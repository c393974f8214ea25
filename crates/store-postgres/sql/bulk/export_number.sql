select job_number from export_job
where
    job_id = $1
    and client_id = $2
    and ($3::bigint is null or account_id = $3)
    and (expires_on_ms is null or expires_on_ms > $4)
