select job_number from purge_job where job_id = $1 and client_id = $2 and ($3::bigint is null or account_id = $3)
