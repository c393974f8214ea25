-- The rest of the file is filled with zeros.
select pg_switch_wal()::text
