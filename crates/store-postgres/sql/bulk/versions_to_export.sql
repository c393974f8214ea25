select seq, id, version_number, last_updated_ms, kind, previous_seq, body, index_values from version
where
    account_id = $1
    and type_id = $2
    and seq > $3
    and seq <= $4
    and (replaced_by_seq is null or replaced_by_seq > $5)
    and last_updated_ms > $6
    and (kind = 3) = $7
order by seq
limit $8
