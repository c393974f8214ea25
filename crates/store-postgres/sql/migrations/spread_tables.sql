select count(*) from pg_dist_partition where logicalrelid = 'lethe.version'::regclass
