select
    stored.seq, stored.id, stored.version_number, stored.last_updated_ms, stored.kind, stored.previous_seq, stored.body,
    entry.number
from unnest($2::smallint[], $3::bytea[]) with ordinality as entry (type_id, id, number)
cross join lateral (
    select version.seq, version.id, version.version_number, version.last_updated_ms, version.kind, version.previous_seq, version.body
    from version
    where
        version.account_id = $1 and version.type_id = entry.type_id and version.id = entry.id
        and coalesce(version.replaced_by_seq, 0) = 0 and version.kind <> 3
    limit 1
) as stored
order by entry.number
