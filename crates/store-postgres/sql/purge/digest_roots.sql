select batch, deleted, digest_root
from purge_batch
where job_number = $1 and digest_root is not null
order by batch
