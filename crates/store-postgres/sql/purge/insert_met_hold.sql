insert into purge_met_hold (job_number, hold_number) values ($1, $2)
on conflict do nothing
