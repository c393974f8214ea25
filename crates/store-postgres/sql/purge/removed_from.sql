select part, account_id, type_id, seqs from purge_removed
where job_number = $1 and part > $2
order by part
limit $3
