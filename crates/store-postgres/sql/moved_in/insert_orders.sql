insert into commit_order (account_id, last_seq, last_updated_ms)
select entry.account_id, $3, entry.last_updated_ms
from unnest($1::bigint[], $2::bigint[]) as entry (account_id, last_updated_ms)
