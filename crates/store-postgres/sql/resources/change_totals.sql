update type_total
set
    resources = type_total.resources + entry.resources,
    changes = type_total.changes + 1,
    last_updated_ms = greatest(type_total.last_updated_ms, $5::bigint)
from unnest($3::smallint[], $4::bigint[]) as entry (type_id, resources)
where type_total.account_id = $1 and type_total.type_id = entry.type_id and type_total.lane = $2
returning type_total.type_id
