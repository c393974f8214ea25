update purge_batch set held = held + 1
where
    job_number = $1
    and kind = 'companions'
    and account_id = $2
    and type_id = $3
    and first_seq <= $4
    and last_seq >= $4
    and state in ('pending', 'failed')
