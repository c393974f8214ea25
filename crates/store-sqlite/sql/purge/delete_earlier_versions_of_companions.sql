with recursive earlier (seq) as (
    select version.previous_seq
    from purge_companion
    join version
        on version.account_id = ?2 and version.type_id = ?3 and version.seq = purge_companion.seq
    where
        purge_companion.job_number = ?1
        and purge_companion.account_id = ?2
        and purge_companion.type_id = ?3
        and purge_companion.seq between ?4 and ?5
        and version.replaced_by_seq is null
        and version.previous_seq is not null
    union all
    select version.previous_seq
    from earlier
    join version on version.account_id = ?2 and version.type_id = ?3 and version.seq = earlier.seq
    where version.previous_seq is not null
)
delete from version where account_id = ?2 and type_id = ?3 and seq in (select seq from earlier)
returning seq
