delete from resource
where
    account_id = $1
    and type_id = $2
    and id > $3
    and id <= $4
    and seq <= $5
    and not exists (
        select 1 from version where version.account_id = $1 and version.type_id = $2 and version.seq = resource.seq
    )
