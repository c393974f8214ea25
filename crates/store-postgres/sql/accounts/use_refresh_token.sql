update token set state = 'used' where token_hash = $1 and kind = 'refresh' and state = 'valid'
