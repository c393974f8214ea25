-- The tables with their file, all that they take with indexes and long values, and what was noted of them. Small ones first.
select format('%I.%I', nspname, relname), pg_relation_filenode(pg_class.oid)::bigint, pg_total_relation_size(pg_class.oid), obj_description(pg_class.oid, 'pg_class')
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where nspname = 'lethe' and relkind = 'r'
order by 3, 1
