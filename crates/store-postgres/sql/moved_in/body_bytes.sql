select coalesce(sum(length(body)), 0)::bigint from version
