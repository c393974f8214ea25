select legal_hold.hold_id from purge_met_hold
join legal_hold on legal_hold.hold_number = purge_met_hold.hold_number
where purge_met_hold.job_number = $1
order by purge_met_hold.hold_number
limit $2
