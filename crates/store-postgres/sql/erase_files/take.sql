-- One at a time in a database. The number is arbitrary.
select pg_try_advisory_lock(5011842)
