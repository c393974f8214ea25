select count(*), coalesce(sum(state = 'done'), 0), coalesce(sum(state = 'failed'), 0) from purge_batch where job_number = ?1
