select account_id from user_account where client_id = $1 and account_id >= $2 order by account_id
