select
    exists (select 1 from export_job where expires_on_ms <= $1)
    or exists (select 1 from import_job where expires_on_ms <= $1)
    or exists (
        select 1 from import_job
        where state in ('queued', 'running', 'canceling') and (lease_expires_on_ms <= $1 or lease_expires_on_ms > $2)
    )
