select entry.seq, stored.last_updated_ms, stored.provenance_targets
from unnest($3::bigint[]) as entry (seq)
cross join lateral (
    select version.last_updated_ms, version.provenance_targets from version
    where version.account_id = $1 and version.type_id = $2 and version.seq = entry.seq and version.replaced_by_seq is null
    limit 1
) as stored
