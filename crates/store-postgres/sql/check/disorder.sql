select
    (
        select count(*) from version
        left join commit_order on commit_order.account_id = version.account_id
        where
            commit_order.account_id is null
            or version.seq > commit_order.last_seq
            or version.last_updated_ms > commit_order.last_updated_ms
    )
    + (
        select count(*) from (
            select last_updated_ms < lag(last_updated_ms) over (partition by account_id, type_id order by seq) as is_older from version
        ) as compared
        where is_older
    )
