update commit_order set times_from_ms = $2 where account_id = $1 and times_from_ms < $2
