insert into resource (account_id, type_id, id, seq)
select $1, entry.type_id, entry.id, entry.seq
from unnest($2::smallint[], $3::bytea[], $4::bigint[]) as entry (type_id, id, seq)
on conflict (account_id, type_id, id) do update set seq = excluded.seq
