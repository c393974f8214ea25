select count(*) from hold_target
left join legal_hold on legal_hold.hold_number = hold_target.hold_number
where legal_hold.hold_number is null or legal_hold.ended_on_ms is not null
