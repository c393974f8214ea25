insert into purge_digest_key (job_number, key) values ($1, $2) on conflict do nothing
