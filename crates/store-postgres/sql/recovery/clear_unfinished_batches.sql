delete from purge_batch where job_number = $1 and state <> 'done'
