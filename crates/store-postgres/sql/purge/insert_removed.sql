insert into purge_removed (job_number, part, account_id, type_id, seqs)
select $1, coalesce(max(part), 0) + 1, $2, $3, $4 from purge_removed where job_number = $1
