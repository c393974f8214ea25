select legal_hold.hold_number from legal_hold
where
    legal_hold.ended_on_ms is null
    and legal_hold.until_ms <= $2
    and legal_hold.account_id in (select purge_batch.account_id from purge_batch where purge_batch.job_number = $1 and purge_batch.deleted > 0)
order by legal_hold.hold_number
