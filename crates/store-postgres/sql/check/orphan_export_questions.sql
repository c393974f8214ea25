select count(*) from export_question
where not exists (select 1 from export_job where export_job.job_number = export_question.job_number)
