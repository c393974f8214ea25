select count(*) from reference
where
    account_id = $1
    and source_type_id = $2
    and source_seq <= $3
    and not exists (
        select 1 from version as stored where stored.account_id = $1 and stored.type_id = $2 and stored.seq = reference.source_seq
    )
