insert into commit_order (account_id) values ($1)
