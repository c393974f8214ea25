select
    8 * (select coalesce(sum(planned), 0) from purge_batch where job_number = $1 and account_id = $2 and type_id = $3)
    <= (select coalesce(max(resources), 0) from type_total where account_id = $2 and type_id = $3)
