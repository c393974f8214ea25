select count(*) from purge_batch where state = 'done' and planned <> deleted + spared + held
