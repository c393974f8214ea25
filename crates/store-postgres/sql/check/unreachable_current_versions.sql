select count(*) from version
where
    replaced_by_seq is null
    and not exists (
        select 1 from resource
        where
            resource.account_id = version.account_id
            and resource.type_id = version.type_id
            and resource.id = version.id
            and resource.seq = version.seq
    )
