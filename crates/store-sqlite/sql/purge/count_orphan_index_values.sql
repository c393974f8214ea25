select count(*) from index_value
where account_id = ?1 and type_id = ?2 and seq between ?3 and ?4 and not has_bit(?5, seq - ?3)
