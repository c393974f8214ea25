select version.id, version.seq
from purge_companion
join version
    on version.account_id = ?2 and version.type_id = ?3 and version.seq = purge_companion.seq
where
    purge_companion.job_number = ?1
    and purge_companion.account_id = ?2
    and purge_companion.type_id = ?3
    and purge_companion.seq between ?4 and ?5
    and version.replaced_by_seq is null
order by purge_companion.seq
