select
    user_account.account_id, user_account.client_id, user_account.app_user_id, user_account.active,
    token.family, token.state
from token
join user_account on user_account.account_id = token.account_id
join client on client.client_id = user_account.client_id
where token.token_hash = $1
    and token.kind = 'refresh'
    and token.expires_on_ms > $2
    and user_account.client_id = $3
    and user_account.active
    and client.active
for no key update of token, user_account
