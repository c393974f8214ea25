select first_seq from index_part
where account_id = $1 and type_id = $2 and first_seq <= $3
order by first_seq desc
limit 1
