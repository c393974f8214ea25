insert into purge_removed (job_number, part, account_id, type_id, seqs) values ($1, $2, $3, $4, $5)
