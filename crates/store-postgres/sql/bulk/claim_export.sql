-- As crates/store-postgres/sql/purge/claim_job.sql.
with candidate as materialized (
    select job_number, state, fence, lease_expires_on_ms from export_job
    where
        state in ('queued', 'running', 'canceling')
        and (lease_expires_on_ms is null or lease_expires_on_ms <= $1 or lease_expires_on_ms > $2)
    order by job_number
    limit 1
),
claimed as (
    update export_job
    set
        state = case candidate.state when 'queued' then 'running' else candidate.state end,
        fence = candidate.fence + 1,
        lease_expires_on_ms = $3
    from candidate
    where
        export_job.job_number = candidate.job_number
        and export_job.state = candidate.state
        and export_job.fence = candidate.fence
        and export_job.lease_expires_on_ms is not distinct from candidate.lease_expires_on_ms
    returning export_job.job_number, export_job.state, export_job.fence
)
select candidate.job_number, candidate.state, claimed.state, claimed.fence
from candidate left join claimed on claimed.job_number = candidate.job_number
