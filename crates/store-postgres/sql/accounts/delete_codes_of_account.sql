delete from auth_code where account_id = $1
