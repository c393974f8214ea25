select count(*) from purge_job as one
join purge_job as other
    on
        other.job_number > one.job_number
        and other.client_id = one.client_id
        and (one.account_id is null or other.account_id is null or one.account_id = other.account_id)
where
    one.state in ('queued', 'running', 'canceling')
    and other.state in ('queued', 'running', 'canceling')
