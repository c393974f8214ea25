delete from purge_met_hold where job_number = $1
