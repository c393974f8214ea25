select purge_companion.type_id, purge_companion.seq, version.id, version.replaced_by_seq is null, coalesce(length(version.body), 0)
from purge_companion
left join version
    on version.account_id = ?2 and version.type_id = purge_companion.type_id and version.seq = purge_companion.seq
where
    purge_companion.job_number = ?1
    and purge_companion.account_id = ?2
    and (purge_companion.type_id, purge_companion.seq) > (?3, ?4)
order by purge_companion.type_id, purge_companion.seq
limit ?5
