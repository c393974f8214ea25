with candidate as materialized (
    select batch, attempts from purge_batch
    where job_number = $1 and state = 'pending' and kind = $2 and (not_before_ms <= $3 or not_before_ms > $4)
    order by batch
    limit 1
)
update purge_batch
set state = 'running', attempts = candidate.attempts + 1, lease_expires_on_ms = $5, is_shared = $6
from candidate
where
    purge_batch.job_number = $1
    and purge_batch.batch = candidate.batch
    and purge_batch.state = 'pending'
    and purge_batch.attempts = candidate.attempts
returning purge_batch.batch, purge_batch.attempts
