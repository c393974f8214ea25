update purge_audit
set closed_on_ms = $2, outcome = $3, planned = $4, deleted = $5, spared = $6, held = $7, failed = $8
where job_number = $1
