insert into index_part (account_id, type_id, first_seq, versions) values ($1, $2, $3, $4)
on conflict (account_id, type_id, first_seq) do update set versions = excluded.versions
