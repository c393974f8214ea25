-- By rows and not by the functions that know names: what those remember may be older than the lock that has just been waited for.
select (
    select d.description
    from pg_namespace as n
    join pg_description as d on d.objoid = n.oid and d.classoid = 'pg_namespace'::regclass and d.objsubid = 0
    where n.nspname = 'lethe'
) as schema_number
