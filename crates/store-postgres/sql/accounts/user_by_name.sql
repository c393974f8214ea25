select account_id, client_id, app_user_id, active from user_account where client_id = $1 and app_user_id = $2
