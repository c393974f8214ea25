-- The statements that put an empty table of the same kind in the place of the table $1, which becomes its child under another name: whoever asks for
-- the one finds the rows of both, and what is inserted goes to the new one.
with old as (
    select pg_class.oid, relowner, relacl, reloptions,
        format('%I.%I', nspname, relname) as name, format('%I.%I', nspname, relname || '_old') as old_name, relname || '_old' as old_alone, nspname
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where pg_class.oid = $1::text::regclass
)
select statement
from (
    select 1 as step, 0::bigint as part, format('alter table %s rename to %I', name, old_alone) as statement from old
    union all
    select 2, indexrelid, format('alter index %I.%I rename to %I', nspname, relname, relname || '_old')
    from old join pg_index on indrelid = old.oid join pg_class on pg_class.oid = indexrelid
    union all
    select 3, 0, format('create table %s (like %s including all excluding indexes)', name, old_name) from old
    union all
    select 4, pg_constraint.oid, format('alter table %s add constraint %I %s', name, conname, pg_get_constraintdef(pg_constraint.oid))
    from old join pg_constraint on conrelid = old.oid
    where contype in ('p', 'u')
    union all
    select 5, indexrelid, pg_get_indexdef(indexrelid)
    from old join pg_index on indrelid = old.oid
    where not exists (select from pg_constraint where conindid = indexrelid and conrelid = old.oid)
    union all
    select 6, 0, format('alter table %s set (%s)', name, array_to_string(reloptions, ', ')) from old where reloptions is not null
    union all
    select 7, attnum, format('alter table %s alter column %I set statistics %s', name, attname, attstattarget)
    from old join pg_attribute on attrelid = old.oid
    where attnum > 0 and not attisdropped and attstattarget >= 0
    union all
    select 7, attnum, format('alter table %s alter column %I set (%s)', name, attname, array_to_string(attoptions, ', '))
    from old join pg_attribute on attrelid = old.oid
    where attnum > 0 and not attisdropped and attoptions is not null
    union all
    select 8, 0, format('alter table %s owner to %I', name, pg_get_userbyid(relowner)) from old
    union all
    select 9, 0, format('grant %s on %s to %s', privilege_type, name, case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end)
    from old, aclexplode(relacl)
    where grantee <> relowner
    union all
    select 10, 0, format('alter table %s set (autovacuum_enabled = false)', old_name) from old
    union all
    select 11, 0, format('alter table %s inherit %s', old_name, name) from old
) as statements
order by step, part, statement
