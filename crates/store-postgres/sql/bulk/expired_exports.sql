select job_number from export_job where expires_on_ms <= $1 order by job_number
