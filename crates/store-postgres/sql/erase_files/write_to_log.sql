-- Something has to be in a file of the log before the next can be begun. Which file it is in.
select substr(pg_walfile_name(pg_logical_emit_message(false, 'lethe', '')), 9)
