delete from version where account_id = $1 and type_id = $2 and seq = any($3)
returning seq, previous_seq
