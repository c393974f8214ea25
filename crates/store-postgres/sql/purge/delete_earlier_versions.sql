delete from version
using unnest($3::bigint[]) as entry (seq)
where version.account_id = $1 and version.type_id = $2 and version.seq = entry.seq
returning version.seq, version.previous_seq
