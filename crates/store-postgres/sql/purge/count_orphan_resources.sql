with chunk as materialized (
    select id, seq from resource
    where account_id = $1 and type_id = $2 and id > $3
    order by id
    limit $4
)
select counted.orphans, counted.chunk_rows, last.id
from (
    select
        count(*) as chunk_rows,
        count(*) filter (
            where chunk.seq <= $5 and not exists (
                select 1 from version as stored where stored.account_id = $1 and stored.type_id = $2 and stored.seq = chunk.seq
            )
        ) as orphans
    from chunk
) as counted
left join lateral (
    select chunk.id from chunk
    order by chunk.id desc
    limit 1
) as last on true
