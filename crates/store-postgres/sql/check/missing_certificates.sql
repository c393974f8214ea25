select count(*)
from purge_job
where
    state = 'successful'
    and not exists (select 1 from purge_certificate where purge_certificate.job_number = purge_job.job_number)
