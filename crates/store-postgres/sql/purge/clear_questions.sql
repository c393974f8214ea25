delete from purge_question
