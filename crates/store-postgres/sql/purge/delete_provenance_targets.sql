delete from provenance_target
where
    account_id = $1
    and provenance_seq between $3 and $4
    and not exists (
        select 1 from version
        where version.account_id = $1 and version.type_id = $2 and version.seq = provenance_target.provenance_seq
    )
