select account_id, type_id, seq, index_values, body, index_keys from version
where (account_id, type_id, seq) > ($1, $2, $3)
order by account_id, type_id, seq
limit $4
