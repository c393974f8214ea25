select commit_order.account_id
from user_account
join commit_order on commit_order.account_id = user_account.account_id
where user_account.client_id = $1
order by commit_order.account_id
for no key update of commit_order
