select
    job_id, account_id, state, after_line, last_line, created, updated, rejected, created_on_ms, last_updated_ms, completed_on_ms, failure
from import_job
where job_number = $1
