select coalesce(sum(versions - 1), 0)::bigint from (
    select count(*) as versions from version
    where replaced_by_seq is null
    group by account_id, type_id, id
    having count(*) > 1
) as of_one
