create temp table purge_batch (
    job_number integer not null,
    batch integer not null,
    kind text not null,
    account_id integer not null,
    type_id integer not null,
    first_seq integer not null,
    last_seq integer not null,
    planned integer not null,
    held integer not null,
    state text not null,
    primary key (job_number, batch)
) strict, without rowid
