select coalesce(sum(cardinality(provenance_targets)), 0)::bigint from version
