select batch, kind, account_id, type_id, first_seq, last_seq, planned, held from purge_batch
where job_number = $1 and batch > $2
order by batch
limit 1
