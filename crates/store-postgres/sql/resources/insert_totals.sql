insert into type_total (account_id, type_id, lane, resources, changes, last_updated_ms)
select $1, entry.type_id, $2, entry.resources, 1, $5
from unnest($3::smallint[], $4::bigint[]) as entry (type_id, resources)
