select count(*) from reference
where
    account_id = ?1
    and source_type_id = ?2
    and source_seq <= ?3
    and not exists (
        select 1 from version where version.account_id = ?1 and version.type_id = ?2 and version.seq = reference.source_seq
    )
