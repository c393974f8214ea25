select target_type_id, target_id from provenance_target
where account_id = $1 and provenance_seq = $2
order by target_type_id, target_id
