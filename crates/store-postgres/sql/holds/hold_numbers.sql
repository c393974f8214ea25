select legal_hold.hold_number from legal_hold
join user_account on user_account.account_id = legal_hold.account_id
where
    legal_hold.hold_number < $1
    and ($2::text is null or user_account.client_id = $2)
    and ($3::bigint is null or legal_hold.account_id = $3)
    and ($4 or (legal_hold.ended_on_ms is null and (legal_hold.until_ms is null or legal_hold.until_ms > $5)))
order by legal_hold.hold_number desc
limit $6
