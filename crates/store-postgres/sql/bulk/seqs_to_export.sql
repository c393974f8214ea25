select seq from version
where
    account_id = $1
    and type_id = $2
    and seq > $3
    and seq <= $4
    and (replaced_by_seq is null or replaced_by_seq > $4)
    and last_updated_ms > $5
    and (kind = 3) = $6
order by seq
limit $7
