delete from resource
where
    account_id = ?1
    and type_id = ?2
    and id > ?3
    and id <= ?4
    and seq between ?5 and ?6
    and not has_bit(?7, seq - ?5)
