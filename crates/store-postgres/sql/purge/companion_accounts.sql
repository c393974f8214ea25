select distinct account_id from purge_listed where job_number = $1 and role = 'companion' order by account_id
