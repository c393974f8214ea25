select count(*) from reference
where account_id = ?1 and source_type_id = ?2 and source_seq between ?3 and ?4 and not has_bit(?5, source_seq - ?3)
