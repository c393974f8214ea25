insert into commit_order (account_id, times_from_ms)
select entry.account_id, entry.times_from_ms
from unnest($1::bigint[], $2::bigint[]) as entry (account_id, times_from_ms)
