select account_id, client_id, app_user_id, active
from user_account
where client_id = $1 and account_id > $2
order by account_id
limit $3
