delete from purge_digest where job_number = ?1
