-- Copies of the log or of the database that are known to this server and out of its reach.
select 'Archived log files: archive_mode is ' || current_setting('archive_mode') || '.' where current_setting('archive_mode') <> 'off'
union all
select 'The replica ' || coalesce(nullif(application_name, ''), host(client_addr), 'on this machine') || '.' from pg_stat_replication
union all
select 'What the replication slot ' || slot_name || ' has handed on.' from pg_replication_slots
union all
select 'The server''s own log: ' || name || ' is ' || setting || ', so statements may stand in it with their values.'
from pg_settings
where (name = 'log_statement' and setting in ('mod', 'all') or name in ('log_min_duration_statement', 'log_min_duration_sample') and setting <> '-1')
    and current_setting('log_parameter_max_length') <> '0'
union all
select 'The server''s own log: log_parameter_max_length_on_error is ' || setting || ', so it may hold values of statements that failed.'
from pg_settings where name = 'log_parameter_max_length_on_error' and setting <> '0'
order by 1
