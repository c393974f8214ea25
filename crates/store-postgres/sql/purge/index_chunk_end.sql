select path_id, value, seq from index_value
where account_id = $1 and type_id = $2 and part = $3 and (path_id, value, seq) > ($4, $5, $6)
order by path_id, value, seq
limit 1 offset $7
