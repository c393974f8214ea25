select
    legal_hold.hold_id, legal_hold.account_id, legal_hold.kind, hold_target.type_id, hold_target.id, legal_hold.reason, legal_hold.set_by,
    legal_hold.set_on_ms, legal_hold.until_ms, legal_hold.lifted_by, legal_hold.ended_on_ms
from legal_hold
left join hold_target on hold_target.hold_number = legal_hold.hold_number
where legal_hold.hold_number = $1
