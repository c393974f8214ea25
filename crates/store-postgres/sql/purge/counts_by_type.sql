select
    type_id,
    sum(planned)::bigint,
    sum(deleted)::bigint,
    sum(spared)::bigint,
    sum(held)::bigint,
    coalesce(sum(planned - deleted - spared - held) filter (where state = 'failed'), 0)::bigint
from purge_batch
where job_number = $1
group by type_id
order by type_id
