delete from index_value
using (
    select
        get_byte(element, 0) * 256 + get_byte(element, 1) as path_id,
        substr(element, 3) as value,
        (
            select first_seq from index_part
            where account_id = $1 and type_id = $2 and first_seq <= $3
            order by first_seq desc
            limit 1
        ) as part
    from version
    cross join lateral unnest(index_values) as element
    where account_id = $1 and type_id = $2 and seq = $3
    offset 0
) as entry
where index_value.account_id = $1 and index_value.type_id = $2 and index_value.part = entry.part
    and index_value.path_id = entry.path_id and index_value.value = entry.value and index_value.seq = $3
