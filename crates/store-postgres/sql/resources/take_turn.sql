-- Given in the order of asking. Two accounts may share a turn; the first number stands for Lethe, and is arbitrary.
select pg_advisory_xact_lock(76012384, ($1::bigint % 2147483647)::integer)
