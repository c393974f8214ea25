select purge_digest.batch, purge_digest.digests
from purge_digest
join purge_batch on purge_batch.job_number = purge_digest.job_number and purge_batch.batch = purge_digest.batch
where
    purge_digest.job_number = $1
    and purge_batch.account_id = $2
    and purge_batch.type_id = $3
    and purge_digest.batch > $4
order by purge_digest.batch
limit 1
