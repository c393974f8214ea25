select count(*) from provenance_target
where
    account_id = $1
    and provenance_seq <= $3
    and not exists (
        select 1 from version as stored where stored.account_id = $1 and stored.type_id = $2 and stored.seq = provenance_target.provenance_seq
    )
