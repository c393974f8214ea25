select entry.place, head.seq, head.version_number, head.kind, head.last_updated_ms
from unnest($2::smallint[], $3::bytea[]) with ordinality as entry (type_id, id, place)
cross join lateral (
    select resource.seq from resource
    where resource.account_id = $1 and resource.type_id = entry.type_id and resource.id = entry.id
    limit 1
) as pointer
cross join lateral (
    select version.seq, version.version_number, version.kind, version.last_updated_ms from version
    where version.account_id = $1 and version.type_id = entry.type_id and version.seq = pointer.seq
    limit 1
) as head
