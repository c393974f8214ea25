insert or ignore into purge_listed (job_number, account_id, role, type_id, seq) values (?1, ?2, ?3, ?4, ?5)
