select setval('place', $1::bigint)
