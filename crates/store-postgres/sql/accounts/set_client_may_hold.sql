update client set may_hold = $2 where client_id = $1
