update client set secret_hash = $2 where client_id = $1
