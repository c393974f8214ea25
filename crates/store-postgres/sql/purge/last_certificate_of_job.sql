select number, jws from purge_certificate where job_number = $1 order by number desc limit 1
