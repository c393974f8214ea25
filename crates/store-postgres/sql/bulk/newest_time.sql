select coalesce(max(greatest(commit_order.times_from_ms, type_total.last_updated_ms)), 0)
from user_account
join commit_order on commit_order.account_id = user_account.account_id
left join type_total on type_total.account_id = commit_order.account_id
where user_account.client_id = $1 and ($2::bigint is null or user_account.account_id = $2)
