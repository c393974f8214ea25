select count(*), count(*) filter (where state = 'done'), count(*) filter (where state = 'failed')
from purge_batch
where job_number = $1
