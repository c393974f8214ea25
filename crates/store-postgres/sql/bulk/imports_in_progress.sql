select job_number from import_job
where state in ('queued', 'running', 'canceling')
order by job_number
for no key update
