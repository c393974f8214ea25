create temp table purge_held (
    job_number integer not null,
    account_id integer not null,
    type_id integer not null,
    seq integer not null,
    primary key (job_number, account_id, type_id, seq)
) strict, without rowid
