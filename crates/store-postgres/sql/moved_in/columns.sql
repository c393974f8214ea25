select class.relname::text, attribute.attname::text, format_type(attribute.atttypid, null), attribute.attidentity <> ''
from pg_class as class
join pg_attribute as attribute on attribute.attrelid = class.oid
where class.relnamespace = current_schema()::regnamespace and class.relkind in ('r', 'p') and attribute.attnum > 0 and not attribute.attisdropped
order by class.oid, attribute.attnum
