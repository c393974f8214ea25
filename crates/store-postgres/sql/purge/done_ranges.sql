select account_id, type_id, first_seq, last_seq, kind = 'targets' from purge_batch
where job_number = $1 and state = 'done' and deleted > 0
order by batch
