select count(*) from purge_job
left join purge_audit on purge_audit.job_number = purge_job.job_number
where
    purge_audit.job_number is null
    or (purge_job.state in ('successful', 'failed', 'canceled') and purge_audit.closed_on_ms is null)
