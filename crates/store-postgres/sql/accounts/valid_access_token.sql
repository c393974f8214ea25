select
    user_account.account_id, user_account.client_id, user_account.app_user_id, user_account.active,
    client.client_id, client.name, client.auth, client.active, client.created_on_ms, client.may_hold
from token
join user_account on user_account.account_id = token.account_id
join client on client.client_id = user_account.client_id
where token.token_hash = $1
    and token.kind = 'access'
    and token.state = 'valid'
    and token.expires_on_ms > $2
    and user_account.active
    and client.active
