-- As take_turn.sql, for several accounts; those of numbers that share one are asked for once.
select pg_advisory_xact_lock(76012384, turn)
from (select distinct (account_id % 2147483647)::integer as turn from unnest($1::bigint[]) as entry (account_id) order by turn) as entry
