select exists (
    select 1 from purge_batch
    where job_number = $1 and account_id = $2 and type_id = $3 and deleted > 0 and not index_removed
)
