insert into hold_target (hold_number, account_id, type_id, id) values ($1, $2, $3, $4)
