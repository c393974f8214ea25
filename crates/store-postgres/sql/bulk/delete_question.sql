delete from export_question where job_number = $1
