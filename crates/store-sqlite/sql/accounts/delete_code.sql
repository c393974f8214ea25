delete from auth_code where code_hash = ?1
