select batch, attempts from purge_batch
where job_number = $1 and state = 'pending' and kind = $2 and (not_before_ms <= $3 or not_before_ms > $4)
order by batch
limit 1
