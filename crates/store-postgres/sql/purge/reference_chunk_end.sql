select target_type_id, target_id, source_seq from reference
where account_id = $1 and source_type_id = $2 and (target_type_id, target_id, source_seq) > ($3, $4, $5)
order by target_type_id, target_id, source_seq
limit 1 offset $6
