select job_number from export_question
where
    purges_before < $1
    and client_id = (select client_id from purge_job where job_number = $1)
    and exists (
        select 1 from purge_batch
        where
            purge_batch.job_number = $1
            and purge_batch.deleted > 0
            and (export_question.account_id is null or export_question.account_id = purge_batch.account_id)
    )
order by job_number
