insert into reference (account_id, source_type_id, target_type_id, target_id, source_seq) values (?1, ?2, ?3, ?4, ?5)
