select purge_listed.seq from purge_listed
where
    purge_listed.job_number = ?1
    and purge_listed.account_id = ?2
    and purge_listed.role = ?3
    and purge_listed.type_id = ?4
    and purge_listed.seq between ?5 and ?6
order by purge_listed.seq
