select provenance_seq, target_type_id, target_id from provenance_target
where account_id = ?1 and provenance_seq > ?2 and provenance_seq <= ?3
order by provenance_seq, target_type_id, target_id
