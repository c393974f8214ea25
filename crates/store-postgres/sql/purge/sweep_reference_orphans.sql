delete from reference
where
    account_id = $1
    and source_type_id = $2
    and (target_type_id, target_id, source_seq) > ($3, $4, $5)
    and (target_type_id, target_id, source_seq) <= ($6, $7, $8)
    and source_seq <= $9
    and not exists (
        select 1 from version
        where version.account_id = $1 and version.type_id = $2 and version.seq = reference.source_seq
        -- Nothing is left out by it, but each is looked up by itself.
        offset 0
    )
