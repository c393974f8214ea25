select job_number, state from purge_job
where
    state in ('queued', 'running', 'canceling')
    and (lease_expires_on_ms is null or lease_expires_on_ms <= $1 or lease_expires_on_ms > $2)
order by job_number
limit 1
for no key update
