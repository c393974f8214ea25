insert into client (client_id, name, auth, secret_hash, active, created_on_ms, may_hold)
values ($1, $2, $3, $4, true, $5, $6)
