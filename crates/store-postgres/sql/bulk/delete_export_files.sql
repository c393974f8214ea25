delete from export_file where job_number = $1
