with chunk as materialized (
    select seq, replaced_by_seq from version
    where account_id = $1 and type_id = $2 and seq > $3
    order by seq
    limit $4
)
select counted.orphans, counted.chunk_rows, last.seq
from (
    select
        count(*) as chunk_rows,
        count(*) filter (
            where chunk.replaced_by_seq <= $5 and not exists (
                select 1 from version as stored where stored.account_id = $1 and stored.type_id = $2 and stored.seq = chunk.replaced_by_seq
            )
        ) as orphans
    from chunk
) as counted
left join lateral (
    select chunk.seq from chunk
    order by chunk.seq desc
    limit 1
) as last on true
