select client_id, name, auth, active, created_on_ms, secret_hash from client where client_id = ?1
