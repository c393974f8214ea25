-- Whose worker has not been heard of; or, if the job's own worker asks, which it has claimed and does not run: it runs one after the other.
select batch, attempts from purge_batch
where
    job_number = $1
    and state = 'running'
    and kind = $2
    and (lease_expires_on_ms <= $3 or lease_expires_on_ms > $4 or ($5 and not is_shared))
order by batch
limit 1
