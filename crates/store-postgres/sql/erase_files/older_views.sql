-- Who may still see what was deleted before the transaction $1.
select 'the session ' || pid || ' (' || coalesce(nullif(application_name, ''), backend_type) || ', since ' || coalesce(xact_start, backend_start) || ')'
from pg_stat_activity
where pid <> pg_backend_pid() and (datname is null or datname = current_database())
    and greatest(age(backend_xmin), age(backend_xid)) > age($1::text::xid)
union all
select 'the prepared transaction ' || gid from pg_prepared_xacts
where database = current_database() and age(transaction) > age($1::text::xid)
union all
select 'the replication slot ' || slot_name from pg_replication_slots where age(xmin) > age($1::text::xid)
order by 1
