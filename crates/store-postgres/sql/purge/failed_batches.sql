select batch, type_id, attempts, coalesce(cause, '') from purge_batch
where job_number = $1 and state = 'failed'
order by batch
limit $2
