delete from purge_companion where job_number = ?1
