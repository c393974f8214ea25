with gone as (
    delete from version
    where
        account_id = $1
        and type_id = $2
        and seq between $3 and $4
        and replaced_by_seq is null
        and ($5::bigint is null or last_updated_ms < $5)
        and (kind <> 3 or $6)
        and seq not in (
            select purge_held.seq from purge_held
            where
                purge_held.job_number = $7
                and purge_held.account_id = $1
                and purge_held.type_id = $2
                and purge_held.seq between $3 and $4
        )
    returning id, seq, previous_seq, kind
)

select id, seq, previous_seq, kind from gone order by seq
