-- What this role needs and has not, as the statements that give it. Rights to functions are given database by database.
select remedy
from (
    select 'grant pg_checkpoint to ' || quote_ident(current_user) as remedy,
        (select rolsuper from pg_roles where rolname = current_user)
        or coalesce(pg_has_role(to_regrole('pg_checkpoint')::oid, 'usage'), false) as has_it
    union all
    select 'grant pg_monitor to ' || quote_ident(current_user),
        pg_has_role('pg_read_all_stats', 'usage') and has_function_privilege('pg_ls_waldir()', 'execute')
    union all
    select 'grant create on schema lethe to ' || quote_ident(current_user), has_schema_privilege('lethe', 'create')
    union all
    select 'grant execute on function pg_switch_wal() to ' || quote_ident(current_user), has_function_privilege('pg_switch_wal()', 'execute')
    union all
    select 'grant execute on function pg_ls_dir(text) to ' || quote_ident(current_user), has_function_privilege('pg_ls_dir(text)', 'execute')
    union all
    select format('alter table %I.%I owner to %I', nspname, relname, current_user), pg_has_role(relowner, 'usage')
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where nspname = 'lethe' and relkind = 'r'
) as needed
where not has_it
order by remedy
