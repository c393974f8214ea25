insert into provenance_target (account_id, provenance_seq, target_type_id, target_id) values (?1, ?2, ?3, ?4)
