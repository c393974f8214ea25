select count(*) from provenance_target
where
    not exists (
        select 1 from version
        where
            version.account_id = provenance_target.account_id
            -- 111 is Provenance
            and version.type_id = 111
            and version.seq = provenance_target.provenance_seq
            and version.replaced_by_seq is null
    )
