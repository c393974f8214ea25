select user_account.account_id, user_account.client_id, user_account.app_user_id, user_account.active,
    auth_code.family
from auth_code
join user_account on user_account.account_id = auth_code.account_id
join client on client.client_id = user_account.client_id
where auth_code.code_hash = $1
    and auth_code.expires_on_ms > $2
    and user_account.client_id = $3
    and user_account.active
    and client.active
for no key update of auth_code, user_account
