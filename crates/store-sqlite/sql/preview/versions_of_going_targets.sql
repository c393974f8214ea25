-- "cross" keeps SQLite from turning the join round, which would walk the type once for each batch
with recursive going (seq) as (
    select seq from version
    where
        account_id = ?1
        and type_id = ?2
        and seq between ?3 and ?4
        and replaced_by_seq is null
        and (?5 is null or last_updated_ms < ?5)
        and (kind <> 3 or ?6)
        and seq not in (
            select purge_held.seq from purge_held
            where
                purge_held.job_number = ?7
                and purge_held.account_id = ?1
                and purge_held.type_id = ?2
                and purge_held.seq between ?3 and ?4
        )
    union all
    select version.previous_seq
    from going
    cross join version on version.account_id = ?1 and version.type_id = ?2 and version.seq = going.seq
    where version.previous_seq is not null
)
select count(*), coalesce(sum(length(version.body)), 0)
from going
cross join version on version.account_id = ?1 and version.type_id = ?2 and version.seq = going.seq
