select seq, id, version_number, last_updated_ms, kind, previous_seq, body from version
where account_id = $1 and type_id = $2 and id = $3 and coalesce(replaced_by_seq, 0) = 0
