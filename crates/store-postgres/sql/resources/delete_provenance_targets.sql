delete from provenance_target where account_id = $1 and provenance_seq = any($2::bigint[])
