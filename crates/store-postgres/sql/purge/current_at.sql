select seq, id, kind, previous_seq, index_values from version
where account_id = $1 and type_id = $2 and seq = $3 and replaced_by_seq is null
