insert into auth_code (code_hash, account_id, expires_on_ms) values ($1, $2, $3)
