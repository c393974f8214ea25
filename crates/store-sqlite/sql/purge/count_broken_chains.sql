select count(*) from version
where account_id = ?1 and type_id = ?2 and replaced_by_seq between ?3 and ?4 and not has_bit(?5, replaced_by_seq - ?3)
