select first_seq from index_part where account_id = $1 and type_id = $2 order by first_seq
