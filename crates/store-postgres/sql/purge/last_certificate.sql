select number, jws from purge_certificate order by number desc limit 1
