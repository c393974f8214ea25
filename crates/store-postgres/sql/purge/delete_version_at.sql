delete from version where account_id = $1 and type_id = $2 and seq = $3
returning kind, previous_seq, id
