-- The tables with their file, all that they take with indexes and long values, what was noted of them, and whether one that they are to replace is
-- still there. Small ones first.
select format('%I.%I', nspname, relname), pg_relation_filenode(pg_class.oid)::bigint, pg_total_relation_size(pg_class.oid), obj_description(pg_class.oid, 'pg_class'),
    exists (select from pg_inherits where inhparent = pg_class.oid)
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where nspname = 'lethe' and relkind = 'r' and not exists (select from pg_inherits where inhrelid = pg_class.oid)
order by 3, 1
