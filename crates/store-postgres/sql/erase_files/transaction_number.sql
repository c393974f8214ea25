-- A number of its own: whatever was deleted before has a smaller one.
select pg_current_xact_id()::xid::text
