with chunk as materialized (
    select provenance_seq, target_type_id, target_id from provenance_target
    where account_id = $1 and (provenance_seq, target_type_id, target_id) > ($3, $4, $5)
    order by provenance_seq, target_type_id, target_id
    limit $6
)
select counted.orphans, counted.chunk_rows, last.provenance_seq, last.target_type_id, last.target_id
from (
    select
        count(*) as chunk_rows,
        count(*) filter (
            where chunk.provenance_seq <= $7 and not exists (
                select 1 from version as stored where stored.account_id = $1 and stored.type_id = $2 and stored.seq = chunk.provenance_seq
            )
        ) as orphans
    from chunk
) as counted
left join lateral (
    select chunk.provenance_seq, chunk.target_type_id, chunk.target_id from chunk
    order by chunk.provenance_seq desc, chunk.target_type_id desc, chunk.target_id desc
    limit 1
) as last on true
