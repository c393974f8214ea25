update commit_order set times_from_ms = $3
where
    account_id in (select account_id from user_account where client_id = $1 and ($2::bigint is null or account_id = $2))
    and times_from_ms < $3
