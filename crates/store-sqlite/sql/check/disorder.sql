select
    (
        select count(*) from version
        where
            seq > (select last_seq from commit_order)
            or last_updated_ms > (select last_updated_ms from user_account where user_account.account_id = version.account_id)
    )
    + (
        select count(*) from (
            select last_updated_ms < lag(last_updated_ms) over (partition by account_id, type_id order by seq) as is_older from version
        )
        where is_older
    )
