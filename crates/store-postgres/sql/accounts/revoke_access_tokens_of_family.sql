update token set state = 'revoked' where family = $1 and account_id = $2 and kind = 'access' and state = 'valid'
