insert into type_total (account_id, type_id, resources) values ($1, $2, $3)
