select count(*) from export_job where client_id = $1 and account_id is not distinct from $2
