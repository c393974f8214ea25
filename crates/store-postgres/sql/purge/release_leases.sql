update purge_job set lease_expires_on_ms = null where state in ('queued', 'running', 'canceling')
