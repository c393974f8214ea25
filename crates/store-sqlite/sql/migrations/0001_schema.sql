-- Clients, users, codes, tokens. Secrets are kept as keyed hashes.

create table client (
    client_id text primary key,
    name text not null,
    auth text not null check (auth in ('bearer', 'headers', 'both')),
    secret_hash blob not null,
    active integer not null check (active in (0, 1)),
    -- It may set and lift holds on the accounts of its users.
    may_hold integer not null default 0 check (may_hold in (0, 1)),
    created_on_ms integer not null
) strict, without rowid;

create table user_account (
    account_id integer primary key autoincrement,
    client_id text not null references client (client_id),
    app_user_id text not null,
    active integer not null check (active in (0, 1)),
    created_on_ms integer not null,
    -- Time of the newest version: meta.lastUpdated never goes backwards within an account.
    last_updated_ms integer not null default 0,
    unique (client_id, app_user_id)
) strict;

create index user_account_by_client on user_account (client_id, account_id);

create table auth_code (
    code_hash blob primary key,
    account_id integer not null,
    expires_on_ms integer not null,
    -- of the tokens that it has bought; null: none yet
    family blob
) strict, without rowid;

create index auth_code_by_account on auth_code (account_id, expires_on_ms);

create table token (
    token_hash blob primary key,
    kind text not null check (kind in ('access', 'refresh')),
    family blob not null,
    account_id integer not null,
    expires_on_ms integer not null,
    state text not null check (state in ('valid', 'used', 'revoked'))
) strict, without rowid;

create index token_by_family on token (family);
create index token_by_account on token (account_id, expires_on_ms);

-- Resources. Every key begins with the account (INV-8), then the type, so that what a purge removes lies together.

-- The last seq that was handed out: the order of commits. One row.
create table commit_order (
    only_row integer primary key check (only_row = 1),
    last_seq integer not null
) strict;

insert into commit_order (only_row, last_seq) values (1, 0);

-- Every version of every resource. A logical id that is a UUID is kept as its 16 bytes, any other as text.
create table version (
    account_id integer not null,
    type_id integer not null,
    seq integer not null,
    id any not null,
    version_number integer not null check (version_number >= 1),
    last_updated_ms integer not null,
    -- 1 create, 2 update, 3 delete
    kind integer not null check (kind in (1, 2, 3)),
    previous_seq integer check (previous_seq < seq),
    -- null: this is the current version
    replaced_by_seq integer check (replaced_by_seq > seq),
    -- Of the current version: the values of its search parameters, in order.
    index_values blob,
    body blob check ((body is null) = (kind = 3)),
    primary key (account_id, type_id, seq)
) strict, without rowid;

-- Logical id → current version. After a batch and before its sweep a row may point at nothing: readers join the version.
create table resource (
    account_id integer not null,
    type_id integer not null,
    id any not null,
    seq integer not null,
    primary key (account_id, type_id, id)
) strict, without rowid;

-- Values of search parameters → current versions. Rows of a type are kept in parts of some ten thousand versions each, in the order of commits:
-- a write touches the last part alone, whatever is stored, and what is purged by age lies together.
create table index_part (
    account_id integer not null,
    type_id integer not null,
    -- It holds the versions from this place on, up to the next part.
    first_seq integer not null,
    versions integer not null,
    primary key (account_id, type_id, first_seq)
) strict, without rowid;

create table index_value (
    account_id integer not null,
    type_id integer not null,
    part integer not null,
    path_id integer not null,
    value blob not null,
    seq integer not null,
    primary key (account_id, type_id, part, path_id, value, seq)
) strict, without rowid;

-- Binary or Provenance → versions, current and earlier, that refer to it: what a purge asks about those that go along.
create table reference (
    account_id integer not null,
    source_type_id integer not null,
    target_type_id integer not null,
    target_id any not null,
    source_seq integer not null,
    primary key (account_id, source_type_id, target_type_id, target_id, source_seq)
) strict, without rowid;

-- The targets of current Provenances, in their order. Type 0 with an empty id is a target that no purge here removes.
create table provenance_target (
    account_id integer not null,
    provenance_seq integer not null,
    target_type_id integer not null,
    target_id any not null,
    primary key (account_id, provenance_seq, target_type_id, target_id)
) strict, without rowid;

-- How many current resources of a type there are, deleted ones left out.
create table type_total (
    account_id integer not null,
    type_id integer not null,
    resources integer not null check (resources >= 0),
    primary key (account_id, type_id)
) strict, without rowid;

-- Purge jobs. They hold no content and no resource ids (INV-5).

create table purge_job (
    job_number integer primary key autoincrement,
    job_id blob not null unique,
    client_id text not null,
    -- null: all accounts of the client
    account_id integer,
    -- comma-separated type codes; null: all
    type_ids text,
    before_ms integer,
    include_deleted integer not null check (include_deleted in (0, 1)),
    level text not null check (level in ('system', 'patient', 'group')),
    -- types with conditions, comma-separated type codes; null: none
    filtered_type_ids text,
    reason text,
    -- addresses of this server, separated by spaces
    bases text not null,
    watermark_seq integer not null,
    state text not null check (state in ('queued', 'running', 'canceling', 'successful', 'failed', 'canceled')),
    phase text not null check (phase in ('plan', 'execute', 'settle', 'certify')),
    retry_count integer not null default 0,
    fence integer not null default 0,
    lease_expires_on_ms integer,
    companions_prepared integer not null default 0 check (companions_prepared in (0, 1)),
    created_on_ms integer not null,
    initialized_on_ms integer,
    last_updated_ms integer,
    completed_on_ms integer,
    failure text
) strict;

create unique index purge_job_one_per_account on purge_job (account_id)
where account_id is not null and state in ('queued', 'running', 'canceling');

create unique index purge_job_one_per_client on purge_job (client_id)
where account_id is null and state in ('queued', 'running', 'canceling');

-- Looking for work, and for what is in the way of a kick-off, costs nothing for jobs that have ended.
create index purge_job_in_progress on purge_job (job_number)
where state in ('queued', 'running', 'canceling');

create index purge_job_by_owner on purge_job (client_id, account_id, job_number);

-- Jobs that may have removed versions and left rows of the index.
create index purge_job_unproven on purge_job (client_id, account_id)
where state <> 'successful';

-- The patient or Group that a purge is of, and the conditions on types: they name resources and quote values. Goes when the plan is sealed, or
-- when the job ends before that; if it fails, some time later.
create table purge_question (
    job_number integer primary key,
    question text not null
) strict;

-- A batch is a range of targets, a range of the list of targets or of the list of companions, or a part of what a purge on record had removed,
-- which has its number.
create table purge_batch (
    job_number integer not null,
    batch integer not null,
    kind text not null check (kind in ('targets', 'listed', 'companions', 'recorded')),
    account_id integer not null,
    type_id integer not null,
    first_seq integer not null,
    last_seq integer not null,
    planned integer not null,
    deleted integer not null default 0,
    spared integer not null default 0,
    held integer not null default 0,
    -- with the resources went so many versions
    deleted_versions integer not null default 0,
    -- the rows of the index went with them; else the sweep removes them
    index_removed integer not null default 0 check (index_removed in (0, 1)),
    -- root of the tree over its digests; null if it removed nothing
    digest_root blob,
    state text not null check (state in ('pending', 'running', 'done', 'failed')),
    attempts integer not null default 0,
    not_before_ms integer not null default 0,
    cause text,
    primary key (job_number, batch),
    -- INV-4
    check (state <> 'done' or planned = deleted + spared + held)
) strict, without rowid;

create index purge_batch_by_state on purge_batch (job_number, state, kind, batch);

-- Places of what goes that no range can tell: targets that conditions or patients decide, and the Provenance and Binary that go along.
create table purge_listed (
    job_number integer not null,
    account_id integer not null,
    role text not null check (role in ('target', 'companion')),
    type_id integer not null,
    seq integer not null,
    primary key (job_number, account_id, role, type_id, seq)
) strict, without rowid;

-- Places of targets that stay because of a hold, though their range says that they go.
create table purge_held (
    job_number integer not null,
    account_id integer not null,
    type_id integer not null,
    seq integer not null,
    primary key (job_number, account_id, type_id, seq)
) strict, without rowid;

-- The holds that kept something from a job.
create table purge_met_hold (
    job_number integer not null,
    hold_number integer not null,
    primary key (job_number, hold_number)
) strict, without rowid;

-- Legal holds. A row is the audit record of its hold, and stays.
create table legal_hold (
    hold_number integer primary key autoincrement,
    hold_id blob not null unique,
    account_id integer not null,
    kind text not null check (kind in ('account', 'patient', 'resource')),
    reason text not null,
    set_by text not null,
    set_on_ms integer not null,
    -- It keeps nothing from then on.
    until_ms integer,
    lifted_by text,
    -- Lifted, or found expired by a purge.
    ended_on_ms integer
) strict;

create index legal_hold_in_force on legal_hold (account_id, hold_number) where ended_on_ms is null;
create index legal_hold_by_account on legal_hold (account_id, hold_number);

-- The patient or resource that a hold keeps. Goes when the hold is lifted, or found expired by a purge.
create table hold_target (
    hold_number integer primary key references legal_hold (hold_number),
    account_id integer not null,
    type_id integer not null,
    id any not null
) strict;

-- Versions that a job has removed and that are not in the purge journal yet; or, of a purge on record, that are to be removed again.
create table purge_removed (
    job_number integer not null,
    part integer not null,
    account_id integer not null,
    type_id integer not null,
    -- a set of seqs: crates/purge/src/seq_set.rs
    seqs blob not null,
    primary key (job_number, part)
) strict, without rowid;

-- On which line the store is written to, and how far it knows the purge journal. One row.
create table lineage (
    only_row integer primary key check (only_row = 1),
    line blob,
    journal_record integer,
    journal_hash blob,
    check ((journal_record is null) = (journal_hash is null))
) strict;

insert into lineage (only_row) values (1);

-- Opens with the kick-off, closes with the end of the job (INV-5), and stays.
create table purge_audit (
    job_number integer primary key,
    job_id blob not null unique,
    client_id text not null,
    account_id integer,
    type_ids text,
    before_ms integer,
    include_deleted integer not null,
    level text not null,
    filtered_type_ids text,
    reason text,
    watermark_seq integer not null,
    opened_on_ms integer not null,
    closed_on_ms integer,
    outcome text check (outcome in ('successful', 'failed', 'canceled')),
    planned integer,
    deleted integer,
    spared integer,
    held integer,
    failed integer
) strict;

-- What was deleted, in the order of deletion: 32 bytes a resource, a salted hash of its name. The salt comes from the key of the job: with the
-- key goes whatever could be learned from them.
create table purge_digest (
    job_number integer not null,
    batch integer not null,
    digests blob not null,
    primary key (job_number, batch)
) strict, without rowid;

create table purge_digest_key (
    job_number integer primary key,
    key blob not null check (length(key) = 32)
) strict;

-- One chain: each certificate names the one before it. Never removed.
create table purge_certificate (
    number integer primary key check (number >= 1),
    job_number integer not null,
    jws text not null
) strict;

create index purge_certificate_by_job on purge_certificate (job_number, number);

-- Tells this store from every other. One row.
create table store_identity (
    only_row integer primary key check (only_row = 1),
    store_id blob not null check (length(store_id) = 16)
) strict;

insert into store_identity (only_row, store_id) values (1, randomblob(16));

-- Bulk jobs. They hold no content and no resource ids, and go 24 hours after their end.

create table export_job (
    job_number integer primary key autoincrement,
    job_id blob not null unique,
    client_id text not null,
    -- null: all accounts of the client
    account_id integer,
    level text not null check (level in ('system', 'patient', 'group')),
    -- comma-separated type codes; null: all
    type_ids text,
    since_ms integer,
    -- addresses of this server, separated by spaces
    bases text not null,
    watermark_seq integer not null,
    transaction_time_ms integer not null,
    state text not null check (state in ('queued', 'running', 'canceling', 'successful', 'failed', 'canceled')),
    fence integer not null default 0,
    lease_expires_on_ms integer,
    created_on_ms integer not null,
    completed_on_ms integer,
    expires_on_ms integer,
    failure text
) strict;

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
    job_number integer not null,
    file integer not null,
    kind text not null check (kind in ('resources', 'deletions', 'issues')),
    account_id integer not null,
    type_id integer not null,
    first_seq integer not null,
    last_seq integer not null check (last_seq >= first_seq),
    resources integer not null check (resources > 0),
    primary key (job_number, file)
) strict, without rowid;

-- What an export was asked for, if that names a resource or quotes a value: the Group, the conditions. A purge that was kicked off later and
-- removed anything of the account removes the export.
create table export_question (
    job_number integer primary key,
    client_id text not null,
    -- null: all accounts of the client
    account_id integer,
    -- the last purge at the kick-off
    purges_before integer not null,
    question text not null
) strict;

create table import_job (
    job_number integer primary key autoincrement,
    job_id blob not null unique,
    client_id text not null,
    account_id integer not null,
    state text not null check (state in ('queued', 'running', 'canceling', 'successful', 'failed', 'canceled')),
    fence integer not null default 0,
    lease_expires_on_ms integer,
    -- lines that were left out at the beginning
    after_line integer not null,
    -- the last line that has its outcome
    last_line integer not null check (last_line >= after_line),
    created integer not null default 0,
    updated integer not null default 0,
    rejected integer not null default 0,
    created_on_ms integer not null,
    last_updated_ms integer not null,
    completed_on_ms integer,
    expires_on_ms integer,
    failure text,
    check (created + updated + rejected <= last_line - after_line)
) strict;

create unique index import_job_one_per_account on import_job (account_id)
where state in ('queued', 'running', 'canceling');

create index import_job_by_owner on import_job (client_id, account_id, job_number);
create index import_job_by_expiry on import_job (expires_on_ms) where expires_on_ms is not null;

-- What the planner is to expect: rows in all, then rows for each longer part of the key. Given once and not gathered, so that plans are the
-- same on every machine. Without it SQLite takes an account for a handful of rows, and walks all of them to find one.
analyze sqlite_schema;

insert into sqlite_stat1 (tbl, idx, stat) values
('version', 'version', '100000000 100000 10000 1'),
('resource', 'resource', '100000000 100000 10000 1'),
('reference', 'reference', '10000000 100000 10000 5000 2 1'),
('index_part', 'index_part', '1000000 300 10 1'),
('index_value', 'index_value', '1000000000 1000000 100000 50000 5000 10 1'),
('provenance_target', 'provenance_target', '10000000 10000 20 5 1'),
('type_total', 'type_total', '100000 30 1'),
('purge_batch', 'purge_batch', '100000 1000 1'),
('purge_batch', 'purge_batch_by_state', '100000 1000 300 150 1'),
('purge_listed', 'purge_listed', '1000000 10000 5000 5000 2500 1'),
('purge_held', 'purge_held', '1000000 10000 5000 2500 1'),
('purge_removed', 'purge_removed', '100000 1000 1'),
('export_file', 'export_file', '100000 1000 1');
