select account_id, client_id, app_user_id, active from user_account where account_id = $1
