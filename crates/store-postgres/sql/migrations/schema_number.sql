select obj_description(to_regnamespace('lethe'), 'pg_namespace')
