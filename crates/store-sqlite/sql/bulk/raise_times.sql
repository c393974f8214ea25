update user_account set last_updated_ms = ?3
where client_id = ?1 and (?2 is null or account_id = ?2) and last_updated_ms < ?3
