select
    coalesce(max(hold_number), 0),
    count(*) filter (where ended_on_ms is null and (until_ms is null or until_ms > $2))
from legal_hold
where account_id = $1
