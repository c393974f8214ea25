select count(*) from purge_question where job_number = $1
