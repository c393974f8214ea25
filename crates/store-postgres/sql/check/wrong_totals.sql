select
    (
        select count(*)
        from (select account_id, type_id, sum(resources) as resources from type_total group by account_id, type_id) as total
        where
            total.resources <> (
                select count(*) from version
                where
                    version.account_id = total.account_id
                    and version.type_id = total.type_id
                    and version.replaced_by_seq is null
                    and version.kind <> 3
            )
    )
    + (
        select count(*) from (select distinct account_id, type_id from version) as stored
        where
            not exists (
                select 1 from type_total where type_total.account_id = stored.account_id and type_total.type_id = stored.type_id
            )
    )
