select seq, id, kind, previous_seq, index_values, last_updated_ms, replaced_by_seq is null, coalesce(length(body), 0)::bigint
from version
where
    account_id = $1
    and type_id = $2
    and seq > $3
    and seq <= $4
    and (replaced_by_seq is null or replaced_by_seq > $5)
    and ($6::bigint is null or last_updated_ms < $6)
    and (kind <> 3 or $7)
order by seq
limit $8
