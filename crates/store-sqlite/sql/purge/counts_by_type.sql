select
    type_id,
    sum(planned),
    sum(deleted),
    sum(spared),
    sum(held),
    sum(case when state = 'failed' then planned - deleted - spared - held else 0 end)
from purge_batch
where job_number = ?1
group by type_id
order by type_id
