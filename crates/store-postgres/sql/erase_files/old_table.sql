-- The table that $1 is to replace: its name, its pages, and by which column its rows can be found without looking at its pages. No row if there is none.
select format('%I.%I', nspname, relname), pg_relation_size(inhrelid) / current_setting('block_size')::bigint, pg_get_indexdef(indexrelid, 1, true)
from pg_inherits
join pg_class on pg_class.oid = inhrelid
join pg_namespace on pg_namespace.oid = relnamespace
join pg_index on indrelid = inhrelid and indisprimary
where inhparent = $1::text::regclass
