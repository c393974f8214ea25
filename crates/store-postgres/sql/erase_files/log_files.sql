-- The files of the write-ahead log in their order, those included that wait to be written to.
select substr(name, 9) from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$' order by 1
