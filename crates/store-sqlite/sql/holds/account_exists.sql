select exists (select 1 from user_account where account_id = ?1)
