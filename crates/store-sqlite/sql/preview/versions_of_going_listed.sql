-- "cross" keeps SQLite from turning the join round, which would walk the type once for each batch
with recursive going (seq) as (
    select purge_listed.seq from purge_listed
    where
        purge_listed.job_number = ?1
        and purge_listed.account_id = ?2
        and purge_listed.role = ?3
        and purge_listed.type_id = ?4
        and purge_listed.seq between ?5 and ?6
    union all
    select version.previous_seq
    from going
    cross join version on version.account_id = ?2 and version.type_id = ?4 and version.seq = going.seq
    where version.previous_seq is not null
)
select count(*), coalesce(sum(length(version.body)), 0)
from going
cross join version on version.account_id = ?2 and version.type_id = ?4 and version.seq = going.seq
