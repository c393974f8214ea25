-- The number stands for Lethe's schema in this database, and is arbitrary.
select pg_advisory_xact_lock(7601238411)
