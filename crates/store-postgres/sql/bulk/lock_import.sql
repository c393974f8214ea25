select 1 from import_job where job_number = $1 for no key update
