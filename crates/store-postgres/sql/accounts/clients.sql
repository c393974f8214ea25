select client_id, name, auth, active, created_on_ms, may_hold from client order by name, client_id
