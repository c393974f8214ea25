update commit_order set last_seq = $2, last_updated_ms = $3 where account_id = $1
