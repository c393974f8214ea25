select name from client where client_id = $1
