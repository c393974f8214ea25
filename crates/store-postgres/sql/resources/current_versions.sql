select
    version.seq, version.id, version.version_number, version.last_updated_ms, version.kind, version.previous_seq, version.body,
    entry.number
from unnest($2::smallint[], $3::bytea[]) with ordinality as entry (type_id, id, number)
join version
    on version.account_id = $1 and version.type_id = entry.type_id and version.id = entry.id
where version.replaced_by_seq is null and version.kind <> 3
order by entry.number
