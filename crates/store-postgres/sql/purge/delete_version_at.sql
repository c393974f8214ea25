with gone as (
    delete from version where account_id = $1 and type_id = $2 and seq = $3
    returning kind, previous_seq, id
),

led as (
    delete from resource
    where account_id = $1 and type_id = $2 and id = any(array(select id from gone)) and seq = $3
)

select kind, previous_seq, id from gone
