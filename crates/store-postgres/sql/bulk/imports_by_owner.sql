select job_number from import_job
where client_id = $1 and ($2::bigint is null or account_id = $2) and (expires_on_ms is null or expires_on_ms > $3)
order by job_number desc
limit $4
