-- Whose worker has not been heard of; or, if the job's own worker asks, which it has claimed and does not run: it runs one after the other. None if its
-- worker was late, and has done it after all.
with candidate as materialized (
    select batch, attempts from purge_batch
    where
        job_number = $1
        and state = 'running'
        and kind = $2
        and (lease_expires_on_ms <= $3 or lease_expires_on_ms > $4 or (not $6 and not is_shared))
    order by batch
    limit 1
)
update purge_batch
set attempts = candidate.attempts + 1, lease_expires_on_ms = $5, is_shared = $6
from candidate
where
    purge_batch.job_number = $1
    and purge_batch.batch = candidate.batch
    and purge_batch.state = 'running'
    and purge_batch.attempts = candidate.attempts
returning purge_batch.batch, purge_batch.attempts
