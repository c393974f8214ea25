select purge_certificate.number, purge_job.job_id, purge_certificate.jws
from purge_certificate
join purge_job on purge_job.job_number = purge_certificate.job_number
where purge_certificate.number > $1
order by purge_certificate.number
limit $2
