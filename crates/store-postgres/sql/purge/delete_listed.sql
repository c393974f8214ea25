delete from purge_listed where job_number = $1 and account_id = $2 and role = $3 and type_id = $4 and seq = $5
