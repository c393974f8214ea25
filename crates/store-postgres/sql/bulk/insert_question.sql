insert into export_question (job_number, client_id, account_id, purges_before, question)
values ($1, $2, $3, (select coalesce(max(job_number), 0) from purge_job), $4)
