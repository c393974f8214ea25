select pg_try_advisory_lock(5011841)
