select count(*) from version
where
    account_id = $1
    and type_id = $2
    and replaced_by_seq <= $3
    and not exists (
        select 1 from version as stored where stored.account_id = $1 and stored.type_id = $2 and stored.seq = version.replaced_by_seq
    )
