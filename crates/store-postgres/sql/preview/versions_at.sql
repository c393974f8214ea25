select previous_seq, coalesce(length(body), 0)::bigint from version where account_id = $1 and type_id = $2 and seq = any($3)
