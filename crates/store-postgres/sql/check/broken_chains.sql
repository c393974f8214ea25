select count(*) from version as one
where
    (
        one.replaced_by_seq is not null
        and not exists (
            select 1 from version as later
            where
                later.account_id = one.account_id
                and later.type_id = one.type_id
                and later.seq = one.replaced_by_seq
                and later.previous_seq = one.seq
                and later.id = one.id
                and later.version_number = one.version_number + 1
        )
    )
    or (
        one.previous_seq is not null
        and not exists (
            select 1 from version as earlier
            where
                earlier.account_id = one.account_id
                and earlier.type_id = one.type_id
                and earlier.seq = one.previous_seq
                and earlier.replaced_by_seq = one.seq
        )
    )
    or (one.previous_seq is null and one.version_number <> 1)
