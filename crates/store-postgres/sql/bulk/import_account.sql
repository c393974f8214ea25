select account_id from import_job where job_id = $1
