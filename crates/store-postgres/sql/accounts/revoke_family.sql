update token set state = 'revoked' where family = $1 and account_id = $2 and state in ('valid', 'used')
