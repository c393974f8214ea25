delete from auth_code where account_id = $1 and expires_on_ms <= $2
