select job_number from purge_job
where
    state in ('successful', 'failed', 'canceled')
    and exists (select 1 from purge_removed where purge_removed.job_number = purge_job.job_number)
order by job_number
