delete from purge_digest
where
    job_number = $1
    and batch in (select batch from purge_digest where job_number = $1 order by batch limit $2)
