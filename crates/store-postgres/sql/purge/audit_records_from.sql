select
    purge_audit.job_number,
    purge_audit.job_id,
    purge_audit.client_id,
    purge_audit.account_id,
    client.name,
    purge_audit.type_ids,
    purge_audit.before_ms,
    purge_audit.include_deleted,
    purge_audit.reason,
    purge_audit.watermark_seq,
    purge_audit.opened_on_ms,
    purge_audit.closed_on_ms,
    purge_audit.outcome,
    purge_audit.planned,
    purge_audit.deleted,
    purge_audit.spared,
    purge_audit.held,
    purge_audit.failed,
    purge_audit.level,
    purge_audit.filtered_type_ids
from purge_audit
join client on client.client_id = purge_audit.client_id
where purge_audit.job_number > $1
order by purge_audit.job_number
limit $2
