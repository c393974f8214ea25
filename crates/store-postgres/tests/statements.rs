//! Every statement file, held to what PostgreSQL accepts and to what a database spread by account demands.

#![allow(clippy::unwrap_used, clippy::panic)] // OK because this file is nothing but tests.

use std::path::{Path, PathBuf};

use lethe_store::residence::RESIDENCES;
use lethe_store_postgres::SCHEMA;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use uuid::Uuid;

/// The statement files with their text, in order.
fn statements() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| !folder.ends_with("migrations"));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut statements: Vec<(String, String)> = files
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    statements.sort();
    assert!(statements.len() > 150, "the control: {} statements", statements.len());
    statements
}

/// The tables that a database with Citus spreads by account: those that grow with what is stored.
fn spread_tables() -> Vec<&'static str> {
    // Names stand in quotes; what else does, is no array.
    let (_, array) = include_str!("../sql/migrations/spread.sql").split_once("unnest(array[").unwrap();
    let tables: Vec<&str> = array.split_once(']').unwrap().0.split('\'').skip(1).step_by(2).collect();
    assert!(tables.len() > 5 && tables.contains(&"commit_order") && tables.contains(&"purge_held"), "the control: {tables:?}");
    tables
}

/// Whether a statement names a table.
fn names(sql: &str, table: &str) -> bool {
    sql.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').any(|word| word == table)
}

/// A connection in a transaction that has the schema, under a name that nobody else has, and is never committed.
async fn connect() -> Client {
    let url = std::env::var("LETHE_TEST_DATABASE_URL").unwrap_or_default();
    assert!(!url.is_empty(), "this test needs a PostgreSQL: run it with `cargo xtask test`, or name one in LETHE_TEST_DATABASE_URL");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = format!("s{}", Uuid::new_v4().simple());
    let schema = SCHEMA.replace("create schema if not exists lethe", &format!("create schema {name}"));
    client.batch_execute(&format!("begin; set local search_path = {name}; {schema}")).await.unwrap();
    let tables = client.query_one("select count(*) from pg_tables where schemaname = $1", &[&name]).await.unwrap().get::<_, i64>(0);
    assert!(tables > 20, "the control: {tables} tables");
    client
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let client = connect().await;
    let mut wrong = Vec::new();
    for (file, sql) in statements().into_iter().filter(|(file, _)| !file.starts_with("preview/hide_")) {
        client.batch_execute("savepoint one").await.unwrap();
        if let Err(error) = client.prepare(&sql).await {
            wrong.push(format!("{file}: {}", error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)));
        }
        client.batch_execute("rollback to one").await.unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Statements that name no account, with how many of the large tables they walk, and why. Even these look up by account what they join.
const ACROSS_ACCOUNTS: [(&str, usize, &str); 14] = [
    ("check/ambiguous_current_versions.sql", 1, "lethe check looks at every row, also of accounts that nobody knows"),
    ("check/broken_chains.sql", 1, "as above"),
    ("check/disorder.sql", 3, "as above"),
    ("check/left_listed.sql", 1, "as above"),
    ("check/orphan_references.sql", 1, "as above"),
    ("check/versions.sql", 1, "as above; page by page in the order of the key, which begins with the account"),
    ("check/wrong_totals.sql", 2, "as above"),
    ("moved_in/body_bytes.sql", 1, "lethe copy compares what it has copied with its source, as a whole and once"),
    ("moved_in/count_targets.sql", 1, "as above"),
    ("purge/clear_held.sql", 1, "what a job has noted is forgotten as a whole; most jobs have noted nothing"),
    ("purge/clear_listed.sql", 1, "as above"),
    ("purge/clear_listed_chunk.sql", 1, "as above"),
    ("purge/companion_accounts.sql", 1, "finds out which accounts the list of a job has; the list is as long as the job is large"),
    ("purge/count_listed.sql", 1, "counts the list of a job"),
];

/// Statements that lock a whole table that is spread, and why.
const LOCKS_OF_ALL: [(&str, &str); 1] =
    [("recovery/lock_all_accounts.sql", "lethe restore --reapply keeps writers of every account out, for milliseconds")];

/// What of a plan walks a large table, or goes by a key that does not begin with an account; and how many looks at large tables it has.
fn walks<'a>(plan: &[&'a str], large: &[&str]) -> (Vec<&'a str>, usize) {
    let reads = |line: &str| large.iter().any(|table| line.contains(&format!(" on {table} ")));
    let is_write = |line: &str| ["Insert on", "Update on", "Delete on"].iter().any(|write| line.contains(write));
    let looks = plan.iter().enumerate().filter(|(_, line)| reads(line) && !is_write(line));
    let goes_by_account = |at: usize| {
        let mut node = plan[at + 1..].iter().take_while(|line| !line.contains("->"));
        node.any(|line| line.contains("Index Cond") && line.contains("account_id = "))
    };
    let (by_account, walks): (Vec<_>, Vec<_>) = looks.partition(|(at, _)| goes_by_account(*at));
    (walks.iter().map(|(_, line)| line.trim()).collect(), by_account.len() + walks.len())
}

/// The plan of a statement whose values are not known, by keys wherever there are any.
async fn plan(client: &Client, sql: &str) -> Vec<String> {
    client.batch_execute(&format!("prepare one as {sql}")).await.unwrap();
    let values = client.query_one("select cardinality(parameter_types) from pg_prepared_statements where name = 'one'", &[]).await.unwrap();
    let values = vec!["null"; usize::try_from(values.get::<_, i32>(0)).unwrap()].join(", ");
    let execute = if values.is_empty() { "one".to_owned() } else { format!("one({values})") };
    let plan = client.simple_query(&format!("explain execute {execute}")).await.unwrap();
    client.batch_execute("deallocate one").await.unwrap();
    let line = |message| if let SimpleQueryMessage::Row(row) = message { row.get(0).map(str::to_owned) } else { None };
    plan.into_iter().filter_map(line).collect()
}

#[tokio::test]
async fn statements_search_large_tables_by_account_and_never_walk_them() {
    let (client, large) = (connect().await, spread_tables());
    // As in the store's own sessions; and whatever could go by a key does.
    let settings = "set local join_collapse_limit = 1; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; \
        set local enable_bitmapscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off; \
        set local enable_material = off";
    client.batch_execute(settings).await.unwrap();
    let (mut wrong, mut looked_at, mut across) = (Vec::new(), 0, ACROSS_ACCOUNTS.to_vec());
    for (file, sql) in statements() {
        let is_planned = ["select", "update", "delete", "insert", "with", "--"].iter().any(|verb| sql.starts_with(verb));
        if !is_planned || file.starts_with("preview/hide_") {
            continue;
        }
        let plan = plan(&client, &sql).await;
        let lines: Vec<&str> = plan.iter().map(String::as_str).collect();
        let (walks, looks) = walks(&lines, &large);
        looked_at += looks;
        let allowed = across.iter().position(|(exempt, _, _)| *exempt == file).map_or(0, |at| across.swap_remove(at).1);
        if walks.len() != allowed {
            wrong.push(format!("{file}: {allowed} walks are allowed, and it has {walks:?}\n{}", lines.join("\n")));
        }
    }
    assert!(looked_at > 80, "the control: {looked_at} looks at large tables");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(across.is_empty(), "there is no such statement: {across:?}");
}

/// Statements that look at all of an account's type in `version`, and why.
const WHOLE_TYPES: [(&str, &str); 1] = [("preview/count_staying.sql", "a preview counts what stays of a type")];

/// Many small accounts and a large one: when a plan is made, nobody knows which it will be for.
const MANY_ACCOUNTS: &str = "
insert into version (account_id, type_id, seq, id, version_number, last_updated_ms, kind, body)
select greatest(number / 60 - 300, 1), case when number < 18000 then 96 else 90 + number % 15 end, number, convert_to('v' || number, 'UTF8'), 1, number, 1, decode(repeat('00', 100), 'hex')
from generate_series(1, 30000) number;
insert into reference select account_id, type_id, 9, id, seq from version where seq % 10 = 0;
analyze version, reference";

/// The largest account must not be read type by type for each row of another table, or for each batch.
#[tokio::test]
async fn statements_look_up_versions_by_place_or_id_whatever_is_known_of_accounts() {
    let client = connect().await;
    client
        .batch_execute("set local join_collapse_limit = 1; set local plan_cache_mode = force_generic_plan; set local jit = off")
        .await
        .unwrap();
    client.batch_execute(MANY_ACCOUNTS).await.unwrap();
    let control = "select count(*) from version where account_id = $1 and type_id = $2 and kind <> $3";
    assert!(!by_type_alone(&plan(&client, control).await).is_empty(), "the control");
    let (mut wrong, mut whole) = (Vec::new(), WHOLE_TYPES.to_vec());
    for (file, sql) in statements() {
        let is_planned = ["select", "update", "delete", "insert", "with", "--"].iter().any(|verb| sql.starts_with(verb));
        if !is_planned || file.starts_with("preview/hide_") || ACROSS_ACCOUNTS.iter().any(|(across, _, _)| *across == file) {
            continue;
        }
        let plan = plan(&client, &sql).await;
        if by_type_alone(&plan).is_empty() {
            continue;
        }
        match whole.iter().position(|(exempt, _)| *exempt == file) {
            Some(at) => _ = whole.swap_remove(at),
            None => wrong.push(format!("{file}:\n{}", plan.join("\n"))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(whole.is_empty(), "these look up what they need: {whole:?}");
}

/// The conditions by which a plan goes into `version` that name neither a place nor an id.
fn by_type_alone(plan: &[String]) -> Vec<&str> {
    let looks = plan.iter().enumerate().filter(|(_, line)| line.contains("version_pkey") || line.contains("version_by_id"));
    let walks = plan.iter().filter(|line| line.contains("Seq Scan on version")).map(String::as_str);
    let condition = |at: usize| plan[at + 1..].iter().take_while(|line| !line.contains("->")).find(|line| line.contains("Index Cond"));
    looks
        .filter_map(|(at, _)| condition(at).map(String::as_str))
        .filter(|condition| !condition.contains("(seq ") && !condition.contains("(id ") && !condition.contains("ROW(seq"))
        .chain(walks)
        .collect()
}

#[test]
fn every_statement_is_used() {
    let (mut folders, mut sources) = (vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")], String::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let unused: Vec<String> =
        statements().into_iter().map(|(file, _)| file).filter(|file| !sources.contains(&format!("sql/{file}\""))).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// What a statement takes that holds up others in all accounts.
fn locks_of_all(sql: &str, large: &[&str]) -> bool {
    let locks_rows = ["for update", "for no key update", "for share", "for key share"].iter().any(|lock| sql.contains(lock));
    let is_of_account = sql.contains("account_id = $") || sql.contains("account_id = any($");
    large.iter().any(|table| names(sql, table)) && (sql.contains("lock table") || locks_rows && !is_of_account)
}

#[test]
fn no_statement_locks_a_spread_table_but_for_an_account() {
    let large = spread_tables();
    for refused in ["lock table version", "select 1 from commit_order for update", "select 1 from version where seq = $1 for key share"] {
        assert!(locks_of_all(refused, &large), "the control: {refused}");
    }
    let all = statements();
    assert!(all.iter().any(|(file, sql)| file == "resources/lock_account.sql" && sql.contains(" for ")), "the control");
    let found: Vec<&str> = all.iter().filter(|(_, sql)| locks_of_all(sql, &large)).map(|(file, _)| file.as_str()).collect();
    assert_eq!(found, LOCKS_OF_ALL.map(|(file, _)| file));
    // Nor does a statement that is put together; erasing files, which a spread database refuses, exchanges whole tables.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut looked_at) = (vec![root], 0);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.extend(Some(path).filter(|path| !path.ends_with("erase_files")));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            looked_at += 1;
            for refused in ["for update", "for no key update", "for share", "for key share", "lock table", "skip locked"] {
                assert!(!text.contains(&format!(" {refused}")) && !text.contains(&format!("\"{refused}")), "{}: {refused}", path.display());
            }
        }
    }
    assert!(looked_at > 60, "the control: {looked_at} files");
}

/// What of the schema does not go by account, though its table does.
async fn against_spreading(client: &Client) -> Vec<String> {
    let tables = spread_tables();
    let keys = "select of.relname || ': ' || named.relname || ' begins with ' || coalesce(first.attname, 'an expression')
        from pg_index
        join pg_class of on of.oid = indrelid
        join pg_class named on named.oid = indexrelid
        left join pg_attribute first on first.attrelid = indrelid and first.attnum = indkey[0]
        where of.relnamespace = current_schema()::regnamespace and of.relname = any ($1) and first.attname is distinct from 'account_id'";
    let without = "select wanted || ' has no primary key' from unnest($1::text[]) wanted where not exists (
            select from pg_index where indisprimary and indrelid = wanted::regclass)";
    let foreign = "select conrelid::regclass::text || ': ' || conname || ' leads to ' || confrelid::regclass::text from pg_constraint
        where contype = 'f' and connamespace = current_schema()::regnamespace
            and (conrelid::regclass::text = any ($1) or confrelid::regclass::text = any ($1))";
    let triggers =
        "select tgrelid::regclass::text || ': ' || tgname || ' is a trigger' from pg_trigger join pg_class on pg_class.oid = tgrelid
        where relnamespace = current_schema()::regnamespace and not tgisinternal and cardinality($1::text[]) > 0";
    let mut found = Vec::new();
    for asked in [keys, without, foreign, triggers] {
        found.extend(client.query(asked, &[&tables]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
    }
    found
}

/// It finds versions by keys of values, and the account is hashed into every one (docs/adr/0040).
const WITHOUT_ACCOUNT: &str = "version: version_by_key begins with index_keys";

#[tokio::test]
async fn keys_and_indexes_of_spread_tables_begin_with_the_account_and_nothing_ties_them_to_local_tables() {
    let client = connect().await;
    assert_eq!(against_spreading(&client).await, [WITHOUT_ACCOUNT]);
    let function = "create function nothing () returns trigger language plpgsql as 'begin return null; end'";
    for (broken, named) in [
        ("create index by_id on reference (target_id, account_id)", "reference: by_id begins with target_id"),
        ("create index by_text on reference (encode(target_id, 'hex'))", "reference: by_text begins with an expression"),
        ("alter table type_total add constraint one unique (type_id, account_id)", "type_total: one begins with type_id"),
        ("alter table purge_held drop constraint purge_held_pkey", "purge_held has no primary key"),
        (
            "alter table commit_order add constraint owned foreign key (account_id) references user_account",
            "commit_order: owned leads to user_account",
        ),
        (
            "alter table purge_met_hold add constraint met foreign key (job_number) references commit_order",
            "purge_met_hold: met leads to commit_order",
        ),
        ("create trigger told after insert on purge_job execute function nothing()", "purge_job: told is a trigger"),
    ] {
        client.batch_execute(&format!("savepoint one; {function}; {broken}")).await.unwrap();
        let mut found = against_spreading(&client).await;
        found.retain(|found| found != WITHOUT_ACCOUNT);
        assert_eq!(found, [named], "the control: {broken}");
        client.batch_execute("rollback to one").await.unwrap();
    }
}

#[tokio::test]
async fn every_table_that_purges_empty_says_when_it_is_vacuumed() {
    let client = connect().await;
    let mut emptied = spread_tables();
    emptied.retain(|table| !["commit_order", "type_total"].contains(table));
    emptied.extend(["purge_removed", "purge_digest"]);
    let without = "select wanted from unnest($1::text[]) wanted where not exists (select from pg_class where oid = wanted::regclass
            and array_to_string(reloptions, ' ') ~ 'autovacuum_vacuum_scale_factor=.*autovacuum_vacuum_threshold=')";
    let found = client.query(without, &[&emptied]).await.unwrap();
    assert_eq!(found.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), [""; 0]);
}

/// Columns of residences that hold no content: words of ours, and who asked.
const WORDS_OF_OURS: [&str; 2] = ["purge_listed.role", "export_question.client_id"];

#[tokio::test]
async fn no_statistics_are_kept_of_content_and_ids() {
    let client = connect().await;
    let tables: Vec<&str> = RESIDENCES.iter().map(|residence| residence.table).collect();
    let sampled = "select relname || '.' || attname, attstattarget <> 0
        from pg_attribute join pg_class on pg_class.oid = attrelid
        where relnamespace = current_schema()::regnamespace and attnum > 0 and atttypid in ('bytea'::regtype, 'bytea[]'::regtype, 'text'::regtype)
            and (relname = any ($1) or relkind = 'i' and exists (
                select from pg_index join pg_class of on of.oid = indrelid
                where indexrelid = attrelid and indexprs is not null and of.relname = any ($1)))";
    let rows = client.query(sampled, &[&tables]).await.unwrap();
    let columns: Vec<(String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(columns.iter().any(|(column, _)| column == "version.body"), "the control: {columns:?}");
    let wrong: Vec<&String> = columns
        .iter()
        .filter(|(column, is_sampled)| *is_sampled && !WORDS_OF_OURS.contains(&column.as_str()))
        .map(|(column, _)| column)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn no_statement_asks_for_what_a_spread_database_lacks() {
    let mut wrong = Vec::new();
    for (file, sql) in statements().into_iter().chain([("schema".to_owned(), SCHEMA.to_owned())]) {
        for refused in ["recursive", "skip locked", "create trigger", "random(", "clock_timestamp", "prepare transaction"] {
            if sql.contains(refused) {
                wrong.push(format!("{file}: {refused}"));
            }
        }
        let is_update = sql.lines().any(|line| line.trim_start().starts_with("update "));
        // Citus 13.2 crashes on it.
        if is_update && sql.contains("[])[") {
            wrong.push(format!("{file}: a column is set to an element of an array"));
        }
        if is_update && ["now()", "nextval", "gen_random"].iter().any(|volatile| sql.contains(volatile)) {
            wrong.push(format!("{file}: a volatile function in an update"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
