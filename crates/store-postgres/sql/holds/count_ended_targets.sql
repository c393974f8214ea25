select count(*) from hold_target
join legal_hold on legal_hold.hold_number = hold_target.hold_number
where
    legal_hold.ended_on_ms is not null
    and hold_target.account_id in (select purge_batch.account_id from purge_batch where purge_batch.job_number = $1 and purge_batch.deleted > 0)
