select
    count(*) filter (where kind <> 3 and not coalesce(last_updated_ms < $3, true)),
    count(*) filter (where kind = 3 and coalesce(last_updated_ms < $3, true))
from version
where account_id = $1 and type_id = $2 and replaced_by_seq is null
