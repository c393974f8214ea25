select count(*) from index_value
where
    account_id = $1
    and type_id = $2
    and seq <= $3
    and not exists (
        select 1 from version as stored where stored.account_id = $1 and stored.type_id = $2 and stored.seq = index_value.seq
    )
