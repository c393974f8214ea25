select count(*) from index_value
left join version
    on
        version.account_id = index_value.account_id
        and version.type_id = index_value.type_id
        and version.seq = index_value.seq
where version.seq is null or version.replaced_by_seq is not null
