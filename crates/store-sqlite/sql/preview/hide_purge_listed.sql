create temp table purge_listed (
    job_number integer not null,
    account_id integer not null,
    role text not null,
    type_id integer not null,
    seq integer not null,
    primary key (job_number, account_id, role, type_id, seq)
) strict, without rowid
