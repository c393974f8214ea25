select exists (select 1 from purge_held where job_number = $1 and account_id = $2 and type_id = $3 and seq = $4)
