insert into purge_batch (job_number, batch, kind, account_id, type_id, first_seq, last_seq, planned, held, state)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
