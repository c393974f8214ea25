update version set replaced_by_seq = $4, index_values = null, index_keys = null, words = null
where account_id = $1 and type_id = $2 and seq = $3 and replaced_by_seq is null
