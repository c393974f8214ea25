insert into resource (account_id, type_id, id, seq) values ($1, $2, $3, $4)
on conflict (account_id, type_id, id) do update set seq = excluded.seq
