insert into purge_question (job_number, question) values ($1, $2)
