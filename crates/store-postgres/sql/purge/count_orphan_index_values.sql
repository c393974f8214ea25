with chunk as materialized (
    select part, path_id, value, seq from index_value
    where account_id = $1 and type_id = $2 and (part, path_id, value, seq) > ($3, $4, $5, $6)
    order by part, path_id, value, seq
    limit $7
)
select counted.orphans, counted.chunk_rows, last.part, last.path_id, last.value, last.seq
from (
    select
        count(*) as chunk_rows,
        count(*) filter (
            where chunk.seq <= $8 and not exists (
                select 1 from version as stored where stored.account_id = $1 and stored.type_id = $2 and stored.seq = chunk.seq
            )
        ) as orphans
    from chunk
) as counted
left join lateral (
    select chunk.part, chunk.path_id, chunk.value, chunk.seq from chunk
    order by chunk.part desc, chunk.path_id desc, chunk.value desc, chunk.seq desc
    limit 1
) as last on true
