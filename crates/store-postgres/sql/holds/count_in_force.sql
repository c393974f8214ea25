select count(*) from legal_hold
where account_id = $1 and ended_on_ms is null and (until_ms is null or until_ms > $2)
