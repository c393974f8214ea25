select job_id from purge_job indexed by purge_job_in_progress
where
    client_id = ?1
    and state in ('queued', 'running', 'canceling')
    and (account_id is null or ?2 is null or account_id = ?2)
order by job_number
limit 1
