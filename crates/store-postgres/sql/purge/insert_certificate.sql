insert into purge_certificate (number, job_number, jws) values ($1, $2, $3)
