select count(*) from purge_job where state in ('queued', 'running', 'canceling')
