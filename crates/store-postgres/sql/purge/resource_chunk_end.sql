select id from resource
where account_id = $1 and type_id = $2 and id > $3
order by id
limit 1 offset $4
