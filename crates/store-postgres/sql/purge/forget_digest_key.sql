delete from purge_digest_key where job_number = $1
