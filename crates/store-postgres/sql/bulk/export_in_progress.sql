select job_id from export_job
where client_id = $1 and account_id is not distinct from $2 and state in ('queued', 'running', 'canceling')
limit 1
