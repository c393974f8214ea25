insert into version
(account_id, type_id, seq, id, version_number, last_updated_ms, kind, previous_seq, body, index_values, index_keys, words)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
