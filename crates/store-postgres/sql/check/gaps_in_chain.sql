select coalesce(max(number), 0) - count(*) from purge_certificate
