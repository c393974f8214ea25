select legal_hold.hold_number from legal_hold
join user_account on user_account.account_id = legal_hold.account_id
where legal_hold.hold_id = $1 and ($2::text is null or user_account.client_id = $2)
