select client_id, name, auth, active, created_on_ms from client order by name, client_id
