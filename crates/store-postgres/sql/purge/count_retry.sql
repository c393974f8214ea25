update purge_job
set
    retry_count = retry_count + 1,
    phase = case when initialized_on_ms is null then 'plan' else 'execute' end,
    companions_prepared = false,
    failure = null,
    -- What it removes now is in the files again.
    erasure = case when erasure = 'files' then 'asked' else erasure end
where job_number = $1
