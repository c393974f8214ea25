select exists (select 1 from purge_batch where job_number = $1 and state = 'failed' and kind <> 'companions')
