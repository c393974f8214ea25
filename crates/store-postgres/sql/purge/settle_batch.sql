update purge_batch
set state = 'done', deleted = $3, spared = $4, held = $5, deleted_versions = $6, digest_root = $7, cause = null
where job_number = $1 and batch = $2 and state = 'running'
