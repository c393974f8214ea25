with recursive going (seq) as (
    select purge_companion.seq from purge_companion
    where
        purge_companion.job_number = ?5
        and purge_companion.account_id = ?1
        and purge_companion.type_id = ?2
        and purge_companion.seq between ?3 and ?4
    union all
    select version.previous_seq
    from going
    join version on version.account_id = ?1 and version.type_id = ?2 and version.seq = going.seq
    where version.previous_seq is not null
)
select count(*), coalesce(sum(length(version.body)), 0)
from going
join version on version.account_id = ?1 and version.type_id = ?2 and version.seq = going.seq
