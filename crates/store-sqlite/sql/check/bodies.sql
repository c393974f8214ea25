select body from version where body is not null order by account_id, type_id, seq
