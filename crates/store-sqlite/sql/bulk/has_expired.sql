select
    exists (select 1 from export_job where expires_on_ms <= ?1)
    or exists (select 1 from import_job where expires_on_ms <= ?1)
