select account_id, type_id from purge_batch where job_number = $1 and deleted > 0 group by account_id, type_id order by account_id, type_id
