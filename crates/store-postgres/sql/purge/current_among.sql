select entry.seq
from unnest($3::bigint[]) as entry (seq)
cross join lateral (
    select 1 from version
    where version.account_id = $1 and version.type_id = $2 and version.seq = entry.seq and version.replaced_by_seq is null
    limit 1
) as stored
order by entry.seq
