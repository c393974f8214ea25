select distinct target_id from reference
where account_id = $1 and source_type_id = $2 and target_type_id = $3 and target_id > $4
order by target_id
limit $5
