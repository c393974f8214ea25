-- What it returns is counted: Citus counts also what was noted before.
insert into purge_held (job_number, account_id, type_id, seq)
select $1, $2, $3, held.seq from unnest($4::bigint[]) as held (seq)
on conflict do nothing
returning seq
