update token set state = 'revoked' where account_id = $1 and state in ('valid', 'used')
