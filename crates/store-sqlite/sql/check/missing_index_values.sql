select count(*) from (
    select account_id, type_id
    from (
        select account_id, type_id, index_row_count(index_values) as balance from version
        where index_values is not null
        union all
        select account_id, type_id, -1 as balance from index_value
    )
    group by account_id, type_id
    having sum(balance) <> 0
)
