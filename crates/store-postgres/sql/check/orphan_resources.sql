select count(*) from resource
where
    not exists (
        select 1 from version
        where
            version.account_id = resource.account_id
            and version.type_id = resource.type_id
            and version.seq = resource.seq
            and version.replaced_by_seq is null
    )
