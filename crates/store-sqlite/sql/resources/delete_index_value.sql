delete from index_value
where account_id = ?1 and type_id = ?2 and part = ?3 and path_id = ?4 and value = ?5 and seq = ?6
