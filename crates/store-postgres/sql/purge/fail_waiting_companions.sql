update purge_batch
set state = 'failed', cause = 'waits for the failed batches: what they left may still need these resources'
where job_number = $1 and kind = 'companions' and state = 'pending'
