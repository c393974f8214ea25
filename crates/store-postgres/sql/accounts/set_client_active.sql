update client set active = $2 where client_id = $1
