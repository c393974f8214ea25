insert or ignore into purge_held (job_number, account_id, type_id, seq) values (?1, ?2, ?3, ?4)
