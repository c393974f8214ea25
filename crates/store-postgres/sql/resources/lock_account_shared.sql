select last_updated_ms from commit_order where account_id = $1 for share
