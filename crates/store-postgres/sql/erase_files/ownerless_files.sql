-- Files of this database that no table owns, as a crash leaves them. Those of temporary tables have other names.
select 'base/' || pg_database.oid || '/' || file
from pg_database, lateral pg_ls_dir('base/' || pg_database.oid) file
where datname = current_database() and dattablespace = (select oid from pg_tablespace where spcname = 'pg_default')
    and file ~ '^[0-9]{1,9}([.][0-9]+)?$' and pg_filenode_relation(0, split_part(file, '.', 1)::oid) is null
order by 1
