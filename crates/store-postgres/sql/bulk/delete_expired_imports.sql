delete from import_job where expires_on_ms <= $1
