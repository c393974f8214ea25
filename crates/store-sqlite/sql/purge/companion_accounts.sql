select distinct account_id from purge_companion where job_number = ?1 order by account_id
