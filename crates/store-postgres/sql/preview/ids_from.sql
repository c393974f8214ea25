select id from version
where account_id = $1 and type_id = $2 and id > $3 and replaced_by_seq is null
order by id
limit $4
