-- As take_turn.sql, beside others who take theirs shared.
select pg_advisory_xact_lock_shared(76012384, ($1::bigint % 1000)::integer)
