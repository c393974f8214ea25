select type_id, sum(deleted_versions)::bigint from purge_batch where job_number = $1 group by type_id order by type_id
