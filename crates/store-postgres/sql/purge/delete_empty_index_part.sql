delete from index_part
where
    account_id = $1
    and type_id = $2
    and first_seq = $3
    and not exists (
        select 1 from version
        where version.account_id = $1 and version.type_id = $2 and version.seq >= $3 and version.seq < $4
    )
