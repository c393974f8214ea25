-- The oldest job that waits or whose worker has not been heard of; with nulls if somebody else has claimed it meanwhile, or its worker has been heard of.
with candidate as materialized (
    select job_number, state, fence, lease_expires_on_ms from purge_job
    where
        state in ('queued', 'running', 'canceling')
        and (lease_expires_on_ms is null or lease_expires_on_ms <= $1 or lease_expires_on_ms > $2)
    order by job_number
    limit 1
),
claimed as (
    update purge_job
    set
        state = case candidate.state when 'queued' then 'running' else candidate.state end,
        fence = candidate.fence + 1,
        lease_expires_on_ms = $3,
        last_updated_ms = $1
    from candidate
    where
        purge_job.job_number = candidate.job_number
        and purge_job.state = candidate.state
        and purge_job.fence = candidate.fence
        and purge_job.lease_expires_on_ms is not distinct from candidate.lease_expires_on_ms
    returning purge_job.job_number, purge_job.state, purge_job.fence
)
select candidate.job_number, candidate.state, claimed.state, claimed.fence
from candidate left join claimed on claimed.job_number = candidate.job_number
