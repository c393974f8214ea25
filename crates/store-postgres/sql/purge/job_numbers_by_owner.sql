select job_number from purge_job
where client_id = $1 and ($2::bigint is null or account_id = $2) and job_number < $3
order by job_number desc
limit $4
