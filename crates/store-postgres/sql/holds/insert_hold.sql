insert into legal_hold (hold_id, account_id, kind, reason, set_by, set_on_ms, until_ms) values ($1, $2, $3, $4, $5, $6, $7)
returning hold_number
