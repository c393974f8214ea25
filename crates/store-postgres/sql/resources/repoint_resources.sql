update resource
set seq = entry.seq
from unnest($3::bytea[], $4::bigint[]) as entry (id, seq)
where
    resource.account_id = $1
    and resource.type_id = $2
    and resource.id = any($3::bytea[])
    and resource.id = entry.id
