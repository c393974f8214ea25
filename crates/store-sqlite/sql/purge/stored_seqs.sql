select seq from version where account_id = ?1 and type_id = ?2 and seq between ?3 and ?4 order by seq
