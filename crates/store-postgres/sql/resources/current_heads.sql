select entry.place, head.seq, head.version_number, head.kind, head.last_updated_ms
from unnest($2::smallint[], $3::bytea[]) with ordinality as entry (type_id, id, place)
cross join lateral (
    select version.seq, version.version_number, version.kind, version.last_updated_ms from version
    where version.account_id = $1 and version.type_id = entry.type_id and version.id = entry.id and coalesce(version.replaced_by_seq, 0) = 0
    limit 1
) as head
