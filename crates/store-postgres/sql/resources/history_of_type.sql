select seq, id, version_number, last_updated_ms, kind, previous_seq, body
from version
where account_id = $1 and type_id = $2 and seq < $3 and last_updated_ms >= $4
  and (
    $5::bigint is null
    or last_updated_ms < $6 and (
      replaced_by_seq is null
      or $5 < (
        select next.last_updated_ms
        from version as next
        where next.account_id = $1 and next.type_id = $2 and next.seq = version.replaced_by_seq
      )
    )
  )
order by seq desc
limit $7
