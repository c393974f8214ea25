insert into index_value (account_id, type_id, part, path_id, value, seq) values (?1, ?2, ?3, ?4, ?5, ?6)
