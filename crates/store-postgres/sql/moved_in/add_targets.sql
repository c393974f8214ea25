update version
set provenance_targets = coalesce(provenance_targets, '{}') || $4::bytea[]
where account_id = $1 and type_id = $2 and seq = $3
