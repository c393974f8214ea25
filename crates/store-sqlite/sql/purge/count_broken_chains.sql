select count(*) from version as earlier
where
    earlier.account_id = ?1
    and earlier.type_id = ?2
    and earlier.seq <= ?3
    and earlier.replaced_by_seq is not null
    and not exists (
        select 1 from version as later
        where later.account_id = ?1 and later.type_id = ?2 and later.seq = earlier.replaced_by_seq
    )
