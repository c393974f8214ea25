insert into export_file (job_number, file, kind, account_id, type_id, first_seq, last_seq, resources)
values ($1, $2, $3, $4, $5, $6, $7, $8)
