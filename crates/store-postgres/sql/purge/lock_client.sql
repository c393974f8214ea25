select 1 from client where client_id = $1 for update
