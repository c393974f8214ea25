delete from reference
where
    account_id = ?1
    and source_type_id = ?2
    and (target_type_id, target_id, source_seq) > (?3, ?4, ?5)
    and (target_type_id, target_id, source_seq) <= (?6, ?7, ?8)
    and source_seq between ?9 and ?10
    and not has_bit(?11, source_seq - ?9)
