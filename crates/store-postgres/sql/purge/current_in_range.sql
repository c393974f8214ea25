select seq, id, kind, previous_seq, index_values from version
where
    account_id = $1
    and type_id = $2
    and seq between $3 and $4
    and replaced_by_seq is null
    and ($5::bigint is null or last_updated_ms < $5)
    and (kind <> 3 or $6)
order by seq
limit $7
