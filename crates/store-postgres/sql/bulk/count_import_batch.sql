update import_job
set last_line = $2, created = created + $3, updated = updated + $4, rejected = rejected + $5, last_updated_ms = $6
where job_number = $1 and last_line <= $2
