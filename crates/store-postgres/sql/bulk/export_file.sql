select kind, account_id, type_id, first_seq, last_seq from export_file where job_number = $1 and file = $2
