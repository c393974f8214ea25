insert into user_account (client_id, app_user_id, active, created_on_ms) values (?1, ?2, 1, ?3)
