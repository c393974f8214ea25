select
    exists (
        select 1 from purge_job
        where
            client_id = (select client_id from user_account where account_id = $1)
            and account_id = $1
            and state <> 'successful'
    )
    or exists (
        select 1 from purge_job
        where
            client_id = (select client_id from user_account where account_id = $1)
            and account_id is null
            and state <> 'successful'
    )
