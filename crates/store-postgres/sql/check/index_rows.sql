select account_id, type_id, count(*) from index_value group by account_id, type_id order by account_id, type_id
