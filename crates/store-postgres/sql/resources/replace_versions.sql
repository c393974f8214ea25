update version
set replaced_by_seq = entry.by_seq, index_values = null, index_keys = null, words = null, provenance_targets = null
from unnest($3::bigint[], $4::bigint[]) as entry (seq, by_seq)
where
    version.account_id = $1
    and version.type_id = $2
    and version.seq = entry.seq
    and version.replaced_by_seq is null
