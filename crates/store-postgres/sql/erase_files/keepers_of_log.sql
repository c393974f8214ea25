-- What keeps old files of the log.
select 'wal_keep_size is ' || setting || ' MB' from pg_settings where name = 'wal_keep_size' and setting <> '0'
union all
select 'the archive_command has not taken them all' where current_setting('archive_mode') <> 'off'
union all
select 'the replication slot ' || slot_name from pg_replication_slots where restart_lsn is not null
order by 1
