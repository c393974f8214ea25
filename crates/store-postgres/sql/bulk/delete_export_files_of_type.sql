delete from export_file where job_number = $1 and account_id = $2 and type_id = $3 and kind <> 'issues'
