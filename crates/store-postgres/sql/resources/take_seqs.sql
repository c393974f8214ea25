select nextval('place') from generate_series(1, $1::bigint)
