-- As take_turn.sql, for several accounts, in the order of turns.
select pg_advisory_xact_lock(76012384, turn)
from (select distinct (account_id % 1000)::integer as turn from unnest($1::bigint[]) as entry (account_id) order by turn) as entry
