insert into purge_digest (job_number, batch, digests) values ($1, $2, $3)
