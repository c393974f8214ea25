update purge_job
set
    retry_count = retry_count + 1,
    phase = case when initialized_on_ms is null then 'plan' else 'execute' end,
    companions_prepared = false,
    failure = null
where job_number = $1
