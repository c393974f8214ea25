select
    version.seq, version.id, version.version_number, version.last_updated_ms, version.kind, version.previous_seq, version.body,
    entry.number
from unnest($2::smallint[], $3::bytea[]) with ordinality as entry (type_id, id, number)
join resource
    on resource.account_id = $1 and resource.type_id = entry.type_id and resource.id = entry.id
join version
    on version.account_id = $1 and version.type_id = entry.type_id and version.seq = resource.seq
where version.kind <> 3
order by entry.number
