select job_id from purge_job
where
    client_id = $1
    and state in ('queued', 'running', 'canceling')
    and (account_id is null or $2::bigint is null or account_id = $2)
order by job_number
limit 1
