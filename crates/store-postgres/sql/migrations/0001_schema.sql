-- The same tables as of the embedded store; what differs says why. Keys and indexes of what belongs to an account begin with the account, so that the
-- tables can be spread over several machines by it; clients, users, tokens and jobs are few, and stay in one place.
create schema if not exists lethe;

-- Clients, users, codes, tokens. Secrets are kept as keyed hashes.

create table client (
    client_id text primary key,
    name text not null,
    auth text not null check (auth in ('bearer', 'headers', 'both')),
    secret_hash bytea not null,
    active boolean not null,
    -- It may set and lift holds on the accounts of its users.
    may_hold boolean not null default false,
    created_on_ms bigint not null
);

create table user_account (
    account_id bigint generated always as identity primary key,
    client_id text not null references client (client_id),
    app_user_id text not null,
    active boolean not null,
    created_on_ms bigint not null,
    unique (client_id, app_user_id)
);

create index user_account_by_client on user_account (client_id, account_id);

create table auth_code (
    code_hash bytea primary key,
    account_id bigint not null,
    expires_on_ms bigint not null,
    -- of the tokens that it has bought; null: none yet
    family bytea
);

create index auth_code_by_account on auth_code (account_id, expires_on_ms);

create table token (
    token_hash bytea primary key,
    kind text not null check (kind in ('access', 'refresh')),
    family bytea not null,
    account_id bigint not null,
    expires_on_ms bigint not null,
    state text not null check (state in ('valid', 'used', 'revoked'))
);

create index token_by_account on token (account_id, expires_on_ms);

-- Resources. Every key begins with the account (INV-8), then the type, so that what a purge removes lies together.

-- The order of commits (docs/adr/0036): one series for the whole store, of which a transaction takes numbers while it holds its account's lock.
create sequence place cache 1;

-- Each account's lock: writers take its row shared, kick-offs have it alone. One row for each account.
create table commit_order (
    account_id bigint primary key,
    -- No version is stored with an earlier time from now on. Only who has the lock alone raises it.
    times_from_ms bigint not null default 0
) with (fillfactor = 50);

-- Every version of every resource. A logical id that is a UUID is kept as the byte ff and its 16 bytes, any other as its text:
-- texts come first, as in the embedded store.
create table version (
    account_id bigint not null,
    type_id smallint not null,
    seq bigint not null,
    id bytea not null,
    version_number bigint not null check (version_number >= 1),
    last_updated_ms bigint not null,
    -- 1 create, 2 update, 3 delete
    kind smallint not null check (kind in (1, 2, 3)),
    previous_seq bigint check (previous_seq < seq),
    -- null: this is the current version
    replaced_by_seq bigint check (replaced_by_seq > seq),
    -- Of the current version: the values of its search parameters, in order, each behind the two bytes of its path.
    index_values bytea[],
    -- Of the current version: keys of these values, by which searches find it. They judge nothing: what is found is asked for its values.
    index_keys bigint[],
    -- Of the current version: its words, each once; those of its narrative also behind a space.
    words bytea[],
    -- Of the current version of a Provenance: its targets, in their order, each as the byte of its type and its id; one byte 0 for all that no purge
    -- here removes. What a purge asks about those that go along.
    provenance_targets bytea[],
    body bytea check ((body is null) = (kind = 3)),
    primary key (account_id, type_id, seq)
);

-- Bodies are compressed before they come here.
alter table version alter column body set storage external;

-- A row of up to half a page stays in one piece: what is moved to another table has to be found and deleted there as well.
alter table version set (toast_tuple_target = 4064);

-- A purge leaves dead rows, and entries in the index below that lead to them, for the vacuum, which is to come soon; when little is dead, it is not worth
-- a walk through the index. What values are frequent decides where a search begins, so statistics follow a load quickly.
alter table version set (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02
);

-- Plans are made before the account is known. With one distinct value the estimate is the share of the most common one, so plans are for the largest
-- account: by those for the average one, all of its types would be read where places can be asked for.
alter table version alter column account_id set (n_distinct = 1), alter column type_id set (n_distinct = 1);

-- Values of search parameters → current versions (docs/adr/0040). No row but the version's own has to go when a version goes. The account is hashed
-- into every key. What was written last is kept apart until it is worth sorting in, and each search looks through it: little enough for that.
create index version_by_key on version using gin (index_keys) with (gin_pending_list_limit = 512)
where index_keys is not null;

-- Logical id → current version (docs/adr/0044): the embedded store has a table for it, whose rows a purge would have to mark one by one.
-- Its condition is written so that only who looks for an id uses it: whoever looks for places would read all of a type by it.
create unique index version_by_id on version (account_id, type_id, id) where coalesce(replaced_by_seq, 0) = 0;

-- What searches ask of values has its words here where SQL has none (crates/store-postgres/src/searches/dialect.rs). How values are written is told in
-- crates/search/src/value.rs.

-- The text before the byte 0 that ends it.
create function text_of (value bytea) returns bytea
language sql immutable parallel safe
return substr(value, 1, position('\x00'::bytea in value || '\x00'::bytea) - 1);

-- What follows the first byte 0 among those from `at` on, counted from 0; null without one.
create function behind (value bytea, at integer) returns bytea
language sql immutable parallel safe
return case
    when position('\x00'::bytea in substr(value, at + 1)) > 0
    then substr(value, at + 1 + position('\x00'::bytea in substr(value, at + 1)))
end;

-- Whether a string has these bytes, as far as it is stored: texts of 256 bytes and more are cut behind 224.
create function text_has (value bytea, bytes bytea) returns boolean
language sql immutable parallel safe
return length(text_of(value)) < 256 and position(bytes in text_of(value)) > 0;

create function text_may_have (value bytea, bytes bytea) returns boolean
language sql immutable parallel safe
return length(text_of(value)) >= 256 or position(bytes in text_of(value)) > 0;

-- The number that was written as 8 bytes in order, from byte `at` on, counted from 0; null if it is none.
create function number_of (value bytea, at integer) returns double precision
language plpgsql immutable strict parallel safe
as $$
declare
    bits bigint := ('x' || encode(substr(value, at + 1, 8), 'hex'))::bit(64)::bigint;
    -- As the order of bytes wants it, the sign is inverted, and of negative numbers all other bits.
    sign integer := case when bits < 0 then 1 else -1 end;
    exponent integer;
begin
    if sign < 0 then
        bits := ~ bits;
    end if;
    bits := bits & 9223372036854775807;
    exponent := (bits >> 52)::integer;
    return case
        when exponent = 0 then 0
        when exponent < 2047
        then sign * (1 + (bits & 4503599627370495)::double precision / 4503599627370496) * 2::double precision ^ (exponent - 1023)
    end;
end
$$;

-- Metres between a position and the one that was written (great circle, haversine); null if none was. PostgreSQL makes an error of what becomes too
-- small, and of the root of what is negative, as it can be beyond the poles.
create function metres_from (latitude double precision, longitude double precision, value bytea) returns double precision
language plpgsql immutable strict parallel safe
as $$
declare
    other_latitude double precision := case when length(value) >= 16 then number_of(value, 0) end;
    other_longitude double precision := case when length(value) >= 16 then number_of(value, 8) end;
    north double precision := sin(radians(other_latitude - latitude) / 2);
    east double precision := sin(radians(other_longitude - longitude) / 2);
    chord double precision;
begin
    north := case when abs(north) > 1e-100 then north else 0 end;
    east := case when abs(east) > 1e-100 then east else 0 end;
    chord := north * north + cos(radians(latitude)) * cos(radians(other_latitude)) * east * east;
    return case
        when other_latitude is null or other_longitude is null then null
        else 2 * 6371008.8 * asin(case when chord < 0 then 1 else least(sqrt(greatest(chord, 0)), 1) end)
    end;
end
$$;

-- The index value of a reference to this resource, whose type is given as its byte.
create function reference_value (type_byte bytea, id bytea) returns bytea
language sql immutable parallel safe
return type_byte || case when substr(id, 1, 1) = '\xff'::bytea then '\x10'::bytea || substr(id, 2) else '\x00'::bytea || id end;

-- The key of a value, as crates/store-postgres/src/index_keys.rs makes it; `head` is account, type and path.
create function index_key (head bytea, value bytea) returns bigint
language sql immutable parallel safe
return ('x' || encode(substr(sha256(head || value), 1, 8), 'hex'))::bit(64)::bigint;

-- The logical id to which the index value of a reference leads, that begins at byte `at`, counted from 0.
create function referred_id (value bytea, at integer) returns bytea
language sql immutable parallel safe
return case when substr(value, at + 2, 1) = '\x10'::bytea then '\xff'::bytea || substr(value, at + 3) else substr(value, at + 3) end;

-- A logical id as its text.
create function id_text (id bytea) returns bytea
language sql immutable parallel safe
return case when substr(id, 1, 1) = '\xff'::bytea then encode(substr(id, 2), 'hex')::uuid::text::bytea else id end;

-- The index values of what is contained, which stand in one value as path, length, bytes.
create function entries_of (written bytea) returns bytea[]
language plpgsql immutable strict parallel safe
as $$
declare
    entries bytea[] := '{}';
    place integer := 1;
    size integer;
begin
    while place + 3 <= length(written) loop
        size := get_byte(written, place + 1) * 256 + get_byte(written, place + 2);
        exit when place + 3 + size > length(written);
        entries := entries || (substr(written, place, 2) || substr(written, place + 4, size));
        place := place + 4 + size;
    end loop;
    return entries;
end
$$;

-- Binary or Provenance → versions, current and earlier, that refer to it: what a purge asks about those that go along.
create table reference (
    account_id bigint not null,
    source_type_id smallint not null,
    target_type_id smallint not null,
    target_id bytea not null,
    source_seq bigint not null,
    primary key (account_id, source_type_id, target_type_id, target_id, source_seq)
) with (
    -- As of version, with which its rows go.
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 5000
);

-- As of version.
alter table reference
    alter column account_id set (n_distinct = 1),
    alter column source_type_id set (n_distinct = 1),
    alter column target_type_id set (n_distinct = 1);

-- How many current resources of a type there are, deleted ones left out: the sum over the lanes. Each connection has its lane, so that writers of an
-- account do not wait for each other's commits.
create table type_total (
    account_id bigint not null,
    type_id smallint not null,
    lane smallint not null default 0,
    -- Those that were added in this lane, without those that were taken away in it: may be below zero.
    resources bigint not null,
    -- How many transactions have changed anything of the type.
    changes bigint not null default 0,
    -- Time of the newest version.
    last_updated_ms bigint not null default 0,
    primary key (account_id, type_id, lane)
) with (
    -- Each transaction changes its row, which then stays on its page.
    fillfactor = 50
);

-- Purge jobs. They hold no content and no resource ids (INV-5).

create table purge_job (
    job_number bigint generated always as identity primary key,
    job_id uuid not null unique,
    client_id text not null,
    -- null: all accounts of the client
    account_id bigint,
    -- comma-separated type codes; null: all
    type_ids text,
    before_ms bigint,
    include_deleted boolean not null,
    level text not null check (level in ('system', 'patient', 'group')),
    -- types with conditions, comma-separated type codes; null: none
    filtered_type_ids text,
    reason text,
    -- addresses of this server, separated by spaces
    bases text not null,
    watermark_seq bigint not null,
    state text not null check (state in ('queued', 'running', 'canceling', 'successful', 'failed', 'canceled')),
    phase text not null check (phase in ('plan', 'execute', 'settle', 'certify')),
    retry_count bigint not null default 0,
    fence bigint not null default 0,
    lease_expires_on_ms bigint,
    companions_prepared boolean not null default false,
    -- rows: no query finds what it removed; asked: nor shall its bytes be in the files, but they may be still; files: they are in none
    erasure text not null default 'rows' check (erasure in ('rows', 'asked', 'files')),
    created_on_ms bigint not null,
    initialized_on_ms bigint,
    last_updated_ms bigint,
    completed_on_ms bigint,
    failure text
);

create unique index purge_job_one_per_account on purge_job (account_id)
where account_id is not null and state in ('queued', 'running', 'canceling');

create unique index purge_job_one_per_client on purge_job (client_id)
where account_id is null and state in ('queued', 'running', 'canceling');

-- Looking for work, and for what is in the way of a kick-off, costs nothing for jobs that have ended.
create index purge_job_in_progress on purge_job (job_number)
where state in ('queued', 'running', 'canceling');

create index purge_job_by_owner on purge_job (client_id, account_id, job_number);

-- The patient or Group that a purge is of, and the conditions on types: they name resources and quote values. Goes when the plan is sealed, or
-- when the job ends before that; if it fails, some time later.
create table purge_question (
    job_number bigint primary key,
    question text not null
);

-- A batch is a range of targets, a range of the list of targets or of the list of companions, or a part of what a purge on record had removed,
-- which has its number.
create table purge_batch (
    job_number bigint not null,
    batch bigint not null,
    kind text not null check (kind in ('targets', 'listed', 'companions', 'recorded')),
    account_id bigint not null,
    type_id smallint not null,
    first_seq bigint not null,
    last_seq bigint not null,
    planned bigint not null,
    deleted bigint not null default 0,
    spared bigint not null default 0,
    held bigint not null default 0,
    -- with the resources went so many versions
    deleted_versions bigint not null default 0,
    -- root of the tree over its digests; null if it removed nothing
    digest_root bytea,
    state text not null check (state in ('pending', 'running', 'done', 'failed')),
    attempts bigint not null default 0,
    not_before_ms bigint not null default 0,
    -- of whoever runs it, and whether that is another worker than the job's own
    lease_expires_on_ms bigint,
    is_shared boolean not null default false,
    cause text,
    primary key (job_number, batch),
    -- INV-4
    check (state <> 'done' or planned = deleted + spared + held)
);

create index purge_batch_by_state on purge_batch (job_number, state, kind, batch);

-- Places of what goes that no range can tell: targets that conditions or patients decide, and the Provenance and Binary that go along.
create table purge_listed (
    job_number bigint not null,
    account_id bigint not null,
    role text not null check (role in ('target', 'companion')),
    type_id smallint not null,
    seq bigint not null,
    primary key (account_id, job_number, role, type_id, seq)
) with (
    -- Empty between jobs, so a share of its rows says nothing. What the batches of a long job strike off is vacuumed while it goes on; what is new goes
    -- soon, and is not worth being frozen.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_threshold = -1
);

-- Places of targets that stay because of a hold, though their range says that they go.
create table purge_held (
    job_number bigint not null,
    account_id bigint not null,
    type_id smallint not null,
    seq bigint not null,
    primary key (account_id, job_number, type_id, seq)
) with (
    -- As of purge_listed; a hold keeps some resources, or all of an account.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_threshold = -1
);

-- The holds that kept something from a job.
create table purge_met_hold (
    job_number bigint not null,
    hold_number bigint not null,
    primary key (job_number, hold_number)
);

-- Legal holds. A row is the audit record of its hold, and stays.
create table legal_hold (
    hold_number bigint generated always as identity primary key,
    hold_id uuid not null unique,
    account_id bigint not null,
    kind text not null check (kind in ('account', 'patient', 'resource')),
    reason text not null,
    set_by text not null,
    set_on_ms bigint not null,
    -- It keeps nothing from then on.
    until_ms bigint,
    lifted_by text,
    -- Lifted, or found expired by a purge.
    ended_on_ms bigint
);

create index legal_hold_in_force on legal_hold (account_id, hold_number) where ended_on_ms is null;
create index legal_hold_by_account on legal_hold (account_id, hold_number);

-- The patient or resource that a hold keeps. Goes when the hold is lifted, or found expired by a purge.
create table hold_target (
    hold_number bigint primary key references legal_hold (hold_number),
    account_id bigint not null,
    type_id smallint not null,
    id bytea not null
);

-- Versions that a job has removed and that are not in the purge journal yet; or, of a purge on record, that are to be removed again.
create table purge_removed (
    job_number bigint not null,
    part bigint not null,
    account_id bigint not null,
    type_id smallint not null,
    -- a set of seqs: crates/purge/src/seq_set.rs
    seqs bytea not null,
    primary key (job_number, part)
) with (
    -- As of purge_listed, but a row is of a whole batch, some kilobytes: some hundred are worth it, also of its TOAST, to which the same applies.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 200,
    autovacuum_vacuum_insert_threshold = -1
);

-- On which line the store is written to, and how far it knows the purge journal. One row.
create table lineage (
    only_row bigint primary key check (only_row = 1),
    line uuid,
    journal_record bigint,
    journal_hash bytea,
    check ((journal_record is null) = (journal_hash is null))
);

insert into lineage (only_row) values (1);

-- Opens with the kick-off, closes with the end of the job (INV-5), and stays.
create table purge_audit (
    job_number bigint primary key,
    job_id uuid not null unique,
    client_id text not null,
    account_id bigint,
    type_ids text,
    before_ms bigint,
    include_deleted boolean not null,
    level text not null,
    filtered_type_ids text,
    reason text,
    watermark_seq bigint not null,
    opened_on_ms bigint not null,
    closed_on_ms bigint,
    outcome text check (outcome in ('successful', 'failed', 'canceled')),
    planned bigint,
    deleted bigint,
    spared bigint,
    held bigint,
    failed bigint
);

-- What was deleted, in the order of deletion: 32 bytes a resource, a salted hash of its name. The salt comes from the key of the job: with the
-- key goes whatever could be learned from them.
create table purge_digest (
    job_number bigint not null,
    batch bigint not null,
    digests bytea not null,
    primary key (job_number, batch)
) with (
    -- It only grows, until an owner has those of a job forgotten: of a table as long as the history that is never the share for which PostgreSQL waits,
    -- and what is forgotten is to leave the files (its TOAST, to which the same applies). What was added is frozen as in any table.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 50
);

create table purge_digest_key (
    job_number bigint primary key,
    key bytea not null check (length(key) = 32)
);

-- One chain: each certificate names the one before it. Never removed.
create table purge_certificate (
    number bigint primary key check (number >= 1),
    job_number bigint not null,
    jws text not null
);

create index purge_certificate_by_job on purge_certificate (job_number, number);

-- Tells this store from every other. One row.
create table store_identity (
    only_row bigint primary key check (only_row = 1),
    store_id uuid not null
);

insert into store_identity (only_row, store_id) values (1, gen_random_uuid());

-- Bulk jobs. They hold no content and no resource ids, and go 24 hours after their end.

create table export_job (
    job_number bigint generated always as identity primary key,
    job_id uuid not null unique,
    client_id text not null,
    -- null: all accounts of the client
    account_id bigint,
    level text not null check (level in ('system', 'patient', 'group')),
    -- comma-separated type codes; null: all
    type_ids text,
    since_ms bigint,
    -- addresses of this server, separated by spaces
    bases text not null,
    watermark_seq bigint not null,
    transaction_time_ms bigint not null,
    state text not null check (state in ('queued', 'running', 'canceling', 'successful', 'failed', 'canceled')),
    fence bigint not null default 0,
    lease_expires_on_ms bigint,
    created_on_ms bigint not null,
    completed_on_ms bigint,
    expires_on_ms bigint,
    failure text
);

create unique index export_job_one_per_account on export_job (account_id)
where account_id is not null and state in ('queued', 'running', 'canceling');

create unique index export_job_one_per_client on export_job (client_id)
where account_id is null and state in ('queued', 'running', 'canceling');

create index export_job_in_progress on export_job (job_number)
where state in ('queued', 'running', 'canceling');

create index export_job_by_owner on export_job (client_id, account_id, job_number);
create index export_job_by_expiry on export_job (expires_on_ms) where expires_on_ms is not null;

-- A file is a range of versions; its lines are read from them when it is fetched.
create table export_file (
    job_number bigint not null,
    file bigint not null,
    kind text not null check (kind in ('resources', 'deletions', 'issues')),
    account_id bigint not null,
    type_id smallint not null,
    first_seq bigint not null,
    last_seq bigint not null check (last_seq >= first_seq),
    resources bigint not null check (resources > 0),
    primary key (job_number, file)
);

-- What an export was asked for, if that names a resource or quotes a value: the Group, the conditions. A purge that was kicked off later and
-- removed anything of the account removes the export.
create table export_question (
    job_number bigint primary key,
    client_id text not null,
    -- null: all accounts of the client
    account_id bigint,
    -- the last purge at the kick-off
    purges_before bigint not null,
    question text not null
);

create table import_job (
    job_number bigint generated always as identity primary key,
    job_id uuid not null unique,
    client_id text not null,
    account_id bigint not null,
    state text not null check (state in ('queued', 'running', 'canceling', 'successful', 'failed', 'canceled')),
    fence bigint not null default 0,
    lease_expires_on_ms bigint,
    -- lines that were left out at the beginning
    after_line bigint not null,
    -- the last line that has its outcome
    last_line bigint not null check (last_line >= after_line),
    created bigint not null default 0,
    updated bigint not null default 0,
    rejected bigint not null default 0,
    created_on_ms bigint not null,
    last_updated_ms bigint not null,
    completed_on_ms bigint,
    expires_on_ms bigint,
    failure text,
    check (created + updated + rejected <= last_line - after_line)
);

create unique index import_job_one_per_account on import_job (account_id)
where state in ('queued', 'running', 'canceling');

create index import_job_by_owner on import_job (client_id, account_id, job_number);
create index import_job_by_expiry on import_job (expires_on_ms) where expires_on_ms is not null;

-- Statistics keep values of a sample of the rows, where no purge finds them: so none are kept of what is content or names a resource.
alter table version
    alter column id set statistics 0,
    alter column index_values set statistics 0,
    alter column words set statistics 0,
    alter column provenance_targets set statistics 0,
    alter column body set statistics 0;
alter table reference alter column target_id set statistics 0;
alter table purge_question alter column question set statistics 0;
alter table export_question alter column question set statistics 0;
alter table hold_target alter column id set statistics 0;
