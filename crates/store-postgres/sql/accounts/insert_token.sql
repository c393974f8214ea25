insert into token (token_hash, kind, family, account_id, expires_on_ms, state) values ($1, $2, $3, $4, $5, 'valid')
