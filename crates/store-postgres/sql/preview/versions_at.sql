select stored.previous_seq, stored.body_bytes
from unnest($3::bigint[]) as entry (seq)
cross join lateral (
    select version.previous_seq, coalesce(length(version.body), 0)::bigint as body_bytes from version
    where version.account_id = $1 and version.type_id = $2 and version.seq = entry.seq
    limit 1
) as stored
