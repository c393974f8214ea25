with failed as materialized (
    select job_number from purge_job where state = 'failed'
)

select count(*) from purge_listed
where not exists (select 1 from failed where failed.job_number = purge_listed.job_number)
