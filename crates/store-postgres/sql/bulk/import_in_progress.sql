select job_number, job_id, lease_expires_on_ms from import_job
where account_id = $1 and state in ('queued', 'running', 'canceling')
for no key update
