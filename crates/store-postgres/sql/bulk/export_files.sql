select file, kind, account_id, type_id, resources from export_file where job_number = $1 order by file
