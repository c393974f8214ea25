select setval(pg_get_serial_sequence($1, $2), $3::bigint)
