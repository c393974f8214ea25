select coalesce(max(last_updated_ms), 0) from type_total where account_id = $1
