select last_updated_ms from user_account where account_id = ?1
