delete from purge_companion where job_number = ?1 and account_id = ?2 and type_id = ?3 and seq between ?4 and ?5
