update resource set seq = entry.seq
from unnest($2::smallint[], $3::bytea[], $4::bigint[]) as entry (type_id, id, seq)
where resource.account_id = $1 and resource.type_id = entry.type_id and resource.id = entry.id
