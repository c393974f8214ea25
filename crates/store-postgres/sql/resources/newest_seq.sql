select coalesce(max(last_seq), 0) from commit_order where account_id = any($1)
