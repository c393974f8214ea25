select account_id, type_id, seqs from purge_removed where job_number = $1 and part = $2
