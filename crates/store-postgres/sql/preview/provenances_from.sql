select distinct provenance_seq from provenance_target
where account_id = $1 and provenance_seq > $2
order by provenance_seq
limit $3
