select coalesce(max(file), 0) from export_file where job_number = $1
