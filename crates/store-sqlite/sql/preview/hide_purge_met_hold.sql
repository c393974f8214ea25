create temp table purge_met_hold (
    job_number integer not null,
    hold_number integer not null,
    primary key (job_number, hold_number)
) strict, without rowid
