delete from export_job where job_number = $1
