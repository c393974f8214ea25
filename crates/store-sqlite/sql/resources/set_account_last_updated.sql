update user_account set last_updated_ms = ?2 where account_id = ?1
