delete from index_value
where
    account_id = $1
    and type_id = $2
    and part = $3
    and (path_id, value, seq) > ($4, $5, $6)
    and (path_id, value, seq) <= ($7, $8, $9)
    and seq <= $10
    and not exists (
        select 1 from version where version.account_id = $1 and version.type_id = $2 and version.seq = index_value.seq
    )
