select exists (
    select 1 from purge_batch where job_number = $1 and account_id = $2 and kind in ('targets', 'listed') and held < planned
)
