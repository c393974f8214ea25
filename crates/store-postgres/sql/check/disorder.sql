select
    (
        select count(*) from version
        left join commit_order on commit_order.account_id = version.account_id
        left join (
            select account_id, max(last_updated_ms) as newest_ms from type_total group by account_id
        ) as written on written.account_id = version.account_id
        where
            commit_order.account_id is null
            or version.seq > $1
            or version.last_updated_ms > greatest(commit_order.times_from_ms, written.newest_ms)
    )
    + (
        select count(*) from (
            select
                last_updated_ms,
                max(last_updated_ms) over (partition by account_id, type_id order by seq) as newest_before_ms
            from version
        ) as compared
        where last_updated_ms < newest_before_ms - $2
    )
