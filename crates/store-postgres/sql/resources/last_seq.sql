select last_seq from commit_order where account_id = $1
