insert into user_account (client_id, app_user_id, active, created_on_ms) values ($1, $2, true, $3)
on conflict (client_id, app_user_id) do nothing
returning account_id
