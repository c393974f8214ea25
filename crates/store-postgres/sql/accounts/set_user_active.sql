update user_account set active = $3 where client_id = $1 and account_id = $2
