-- Changes nothing: a database that is spread by account gives the locks of several accounts only to whoever updates them.
update commit_order set times_from_ms = times_from_ms where account_id = any($1::bigint[])
