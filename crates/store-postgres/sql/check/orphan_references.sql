select count(*) from reference
where
    not exists (
        select 1 from version
        where
            version.account_id = reference.account_id
            and version.type_id = reference.source_type_id
            and version.seq = reference.source_seq
    )
