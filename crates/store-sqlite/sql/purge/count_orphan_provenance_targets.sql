select count(*) from provenance_target
where
    account_id = ?1
    and ?2 is not null
    and provenance_seq between ?3 and ?4
    and not has_bit(?5, provenance_seq - ?3)
