select exists (select 1 from reference where account_id = $1 and source_type_id = $2 and target_type_id = $3)
