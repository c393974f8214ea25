select version.seq, version.version_number, version.kind, version.last_updated_ms
from resource
join version
    on version.account_id = resource.account_id and version.type_id = resource.type_id and version.seq = resource.seq
where resource.account_id = $1 and resource.type_id = $2 and resource.id = $3
