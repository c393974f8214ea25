-- Changes nothing: a database that is spread by account gives the locks of several accounts only to whoever updates them.
update commit_order set last_seq = last_seq where account_id = any($1::bigint[])
