select coalesce(max(last_updated_ms), 0) from user_account where client_id = ?1 and (?2 is null or account_id = ?2)
