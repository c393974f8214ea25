select job_number from purge_job where state in ('queued', 'running', 'canceling') order by job_number
