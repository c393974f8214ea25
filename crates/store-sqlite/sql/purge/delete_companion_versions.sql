delete from version
where
    account_id = ?2
    and type_id = ?3
    and seq in (
        select seq from purge_companion
        where job_number = ?1 and account_id = ?2 and type_id = ?3 and seq between ?4 and ?5
    )
    and replaced_by_seq is null
