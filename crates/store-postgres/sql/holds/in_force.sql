select legal_hold.hold_number, legal_hold.kind, hold_target.type_id, hold_target.id from legal_hold
left join hold_target on hold_target.hold_number = legal_hold.hold_number
where
    legal_hold.account_id = $1
    and legal_hold.ended_on_ms is null
    and (legal_hold.until_ms is null or legal_hold.until_ms > $2)
order by legal_hold.hold_number
