update purge_batch
set lease_expires_on_ms = $5
from purge_job
where
    purge_job.job_id = $1
    and purge_job.fence = $2
    and purge_job.state in ('running', 'canceling')
    and purge_batch.job_number = purge_job.job_number
    and purge_batch.batch = $3
    and purge_batch.attempts = $4
    and purge_batch.state = 'running'
returning purge_batch.job_number, purge_batch.is_shared
