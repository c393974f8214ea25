select job_number from import_job
where state in ('queued', 'running', 'canceling') and (lease_expires_on_ms <= $1 or lease_expires_on_ms > $2)
order by job_number
for no key update
