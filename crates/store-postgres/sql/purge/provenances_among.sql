select seq, last_updated_ms, provenance_targets from version
where account_id = $1 and type_id = $2 and seq = any($3::bigint[]) and replaced_by_seq is null
