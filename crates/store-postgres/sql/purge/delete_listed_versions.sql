with listed as materialized (
    select seq from purge_listed
    where job_number = $1 and account_id = $2 and role = $3 and type_id = $4 and seq between $5 and $6
    order by seq
),

gone as (
    delete from version
    using listed
    where version.account_id = $2 and version.type_id = $4 and version.seq = listed.seq and version.replaced_by_seq is null
    returning version.id, version.seq, version.previous_seq, version.kind
)

select id, seq, previous_seq, kind from gone order by seq
