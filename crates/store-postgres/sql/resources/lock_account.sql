select times_from_ms, (pg_backend_pid() % 16)::smallint from commit_order where account_id = $1 for no key update
