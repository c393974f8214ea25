insert into purge_batch (job_number, batch, kind, account_id, type_id, first_seq, last_seq, planned, state)
values ($1, $2, 'recorded', $3, $4, $5, $6, $7, 'pending')
