delete from resource
using unnest($3::bytea[], $4::bigint[]) as gone (id, seq)
where resource.account_id = $1 and resource.type_id = $2 and resource.id = gone.id and resource.seq = gone.seq
