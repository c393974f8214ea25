with chunk as materialized (
    select target_type_id, target_id, source_seq from reference
    where account_id = $1 and source_type_id = $2 and (target_type_id, target_id, source_seq) > ($3, $4, $5)
    order by target_type_id, target_id, source_seq
    limit $6
)
select counted.orphans, counted.chunk_rows, last.target_type_id, last.target_id, last.source_seq
from (
    select
        count(*) as chunk_rows,
        count(*) filter (
            where chunk.source_seq <= $7 and not exists (
                select 1 from version as stored where stored.account_id = $1 and stored.type_id = $2 and stored.seq = chunk.source_seq
            )
        ) as orphans
    from chunk
) as counted
left join lateral (
    select chunk.target_type_id, chunk.target_id, chunk.source_seq from chunk
    order by chunk.target_type_id desc, chunk.target_id desc, chunk.source_seq desc
    limit 1
) as last on true
