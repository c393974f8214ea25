select client_id, name, auth, active, created_on_ms, may_hold, secret_hash from client where client_id = $1
