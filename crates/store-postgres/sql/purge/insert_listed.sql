-- What it returns is counted: Citus counts also what was there already.
insert into purge_listed (job_number, account_id, role, type_id, seq)
select $1, $2, $3, listed.type_id, listed.seq from unnest($4::smallint[], $5::bigint[]) as listed (type_id, seq)
on conflict do nothing
returning seq
