select purge_companion.seq from purge_companion
where
    purge_companion.job_number = ?5
    and purge_companion.account_id = ?1
    and purge_companion.type_id = ?2
    and purge_companion.seq between ?3 and ?4
order by purge_companion.seq
