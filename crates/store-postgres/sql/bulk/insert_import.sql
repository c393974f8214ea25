insert into import_job (
    job_id, client_id, account_id, state, fence, lease_expires_on_ms, after_line, last_line, created_on_ms, last_updated_ms
)
values ($1, $2, $3, $4, 1, $5, $6, $6, $7, $7)
on conflict (account_id) where state in ('queued', 'running', 'canceling') do nothing
returning job_number
