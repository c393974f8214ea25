delete from token where account_id = $1 and expires_on_ms <= $2
