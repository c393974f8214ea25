select purge_removed.account_id, purge_removed.type_id, purge_removed.seqs from purge_batch
join purge_removed on purge_removed.job_number = purge_batch.job_number and purge_removed.part = purge_batch.batch
where purge_batch.job_number = $1 and purge_batch.kind = 'recorded' and purge_batch.state = 'done'
order by purge_batch.batch
