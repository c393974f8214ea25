select seq, cardinality(provenance_targets) from version
where account_id = $1 and type_id = $2 and seq > $3 and provenance_targets is not null
order by seq
limit $4
