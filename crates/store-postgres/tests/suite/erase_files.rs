//! Bytes in the files of the server, before and after they are erased.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aho_corasick::AhoCorasick;
use lethe_auth::Scope;
use lethe_certificate::document::Level;
use lethe_fhir::{LocalBases, Resource};
use lethe_jobs::JobState;
use lethe_purge::Selection;
use lethe_store::{Expect, Write};
use lethe_store_postgres::{EraseFilesError, ErasePatience, ErasedFiles, LeftBecause};
use lethe_store_suite::{Backend, Harness};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Postgres, connect, url_of};

pub async fn erase_files(url: &str, patience: ErasePatience) -> Result<ErasedFiles, EraseFilesError> {
    lethe_store_postgres::erase_files(url, patience, &|line| eprintln!("{line}")).await
}

/// Where the files of the server are; `None`, said aloud, if nobody knows.
pub fn directory() -> Option<PathBuf> {
    let directory = std::env::var_os("LETHE_TEST_DATABASE_DIR").map(PathBuf::from);
    if directory.is_none() {
        eprintln!("SKIPPED: LETHE_TEST_DATABASE_DIR does not say where the files of the server are");
    }
    directory
}

/// Strings that look like nothing else, in no other test either.
pub fn markers(count: usize) -> Vec<String> {
    let marker = || {
        let bits = Uuid::new_v4().as_u128() ^ Uuid::new_v4().as_u128().rotate_left(64);
        let letter = |place: usize| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(bits >> (5 * place)) as usize % 32]);
        (0..24).map(letter).collect()
    };
    (0..count).map(|_| marker()).collect()
}

fn put(json: Value) -> Write {
    let resource = Resource::from_json(json).unwrap();
    let id = resource.id.clone().unwrap();
    Write::put(&resource, id, &LocalBases::new([]), Expect::Anything).unwrap()
}

/// One marker a resource: a name, an identifier, a narrative, the content of a Binary, a version that has been replaced.
pub async fn plant(harness: &Harness<Postgres>, scope: &Scope, markers: &[String]) {
    let mut first = Vec::new();
    let mut second = Vec::new();
    for (number, marker) in markers.iter().enumerate() {
        let id = format!("r{number}");
        let of_patient = |name: &str, value| put(json!({"resourceType": "Patient", "id": id, name: value}));
        first.push(match number % 5 {
            0 => of_patient("name", json!([{"family": marker}])),
            1 => of_patient("identifier", json!([{"system": "urn:example:mrn", "value": marker}])),
            2 => of_patient(
                "text",
                json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{marker}</div>")}),
            ),
            3 => put(json!({"resourceType": "Binary", "id": id, "contentType": "application/octet-stream", "data": marker})),
            _ => {
                second.push(of_patient("active", json!(true)));
                of_patient("name", json!([{"family": marker}]))
            }
        });
    }
    for writes in [first, second] {
        let mut writes = writes.into_iter().peekable();
        while writes.peek().is_some() {
            harness.write_for(scope, writes.by_ref().take(50).collect()).await;
        }
    }
}

/// So much of letters that repeat nothing is more than a page after any compression, and lies in TOAST.
const LARGE_WORDS: usize = 700;

/// Resources that no page can hold: the content of a Binary, or a narrative of many words. Three strings of each, at its begin, in its middle, at its end.
pub async fn plant_large(harness: &Harness<Postgres>, scope: &Scope, resources: usize) -> Vec<String> {
    let (mut planted, mut writes) = (Vec::new(), Vec::new());
    for number in 0..resources {
        let (words, id) = (markers(LARGE_WORDS), format!("large{number}"));
        planted.extend([10, LARGE_WORDS / 2, LARGE_WORDS - 10].map(|at| words[at].clone()));
        writes.push(if number % 2 == 0 {
            put(json!({"resourceType": "Binary", "id": id, "contentType": "application/octet-stream", "data": words.concat()}))
        } else {
            let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{}</div>", words.join(" "));
            put(json!({"resourceType": "Patient", "id": id, "text": {"status": "generated", "div": div}}))
        });
    }
    harness.write_for(scope, writes).await;
    planted
}

/// How many of the strings stand in the TOAST of a table, as SQL sees it.
async fn in_toast(client: &Client, table: &str, markers: &[String]) -> usize {
    let toast = format!("select reltoastrelid::regclass::text from pg_class where oid = '{table}'::regclass");
    let toast: String = client.query_one(&toast, &[]).await.unwrap().get(0);
    let sql = format!(
        "select count(*) from unnest($1::text[]) marker where exists (
            select from {toast} where position(convert_to(marker, 'UTF8') in chunk_data) > 0)"
    );
    usize::try_from(client.query_one(&sql, &[&markers]).await.unwrap().get::<_, i64>(0)).unwrap()
}

/// Which of the strings stand in the files, as they are or as the index has them. Files of other databases are left out.
pub fn found(directory: &Path, database: u32, markers: &[String]) -> BTreeSet<usize> {
    let needles: Vec<String> = markers.iter().flat_map(|marker| [marker.clone(), marker.to_lowercase()]).collect();
    let automaton = AhoCorasick::new(&needles).unwrap();
    let mut found = BTreeSet::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        let is_other = folder.parent().is_some_and(|parent| parent.ends_with("base")) && !folder.ends_with(database.to_string());
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten().filter(|_| !is_other) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if let Ok(bytes) = fs::read(entry.path()) {
                found.extend(automaton.find_iter(&bytes).map(|hit| hit.pattern().as_usize() / 2));
            }
        }
    }
    found
}

/// Writes or reads for the bystander until it is told to stop; how often, and how long the longest took.
pub async fn traffic(harness: &Harness<Postgres>, is_over: &AtomicBool, writes: bool) -> (u32, Duration) {
    let (mut calls, mut longest) = (0, Duration::ZERO);
    while !is_over.load(Ordering::SeqCst) {
        let began = Instant::now();
        if writes {
            harness.put_for(&harness.bystander, json!({"resourceType": "Patient", "id": "busy", "multipleBirthInteger": calls})).await;
        } else {
            harness.read_for(&harness.bystander, "Patient/r0").await.unwrap();
        }
        longest = longest.max(began.elapsed());
        calls += 1;
    }
    (calls, longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_of_a_thousand_planted_strings_is_in_the_files_once_they_are_erased() {
    let Some(directory) = directory() else { return };
    let harness = Arc::new(Harness::<Postgres>::open().await.with_batches_of(100));
    let client = harness.backend.client().await;
    let database: u32 = client.query_one("select oid from pg_database where datname = current_database()", &[]).await.unwrap().get(0);
    let (planted, kept) = (markers(1_000), markers(100));
    plant(&harness, &harness.account, &planted).await;
    plant(&harness, &harness.bystander, &kept).await;
    client.batch_execute("analyze").await.unwrap();
    let counted = || (found(&directory, database, &planted).len(), found(&directory, database, &kept).len());
    assert_eq!(harness.purge(Selection::default()).await.state, JobState::Successful);
    client.batch_execute("vacuum").await.unwrap();
    client.batch_execute("checkpoint").await.unwrap();
    // Not all: another test may have led the log past its old files, and pages are used again.
    let (still, kept_there) = counted();
    assert!(still > 800 && kept_there == 100, "the control: what is purged is still in the files: {still}, {kept_there}");

    let is_over = Arc::new(AtomicBool::new(false));
    let busy = [true, false].map(|writes| {
        let (harness, is_over) = (Arc::clone(&harness), Arc::clone(&is_over));
        tokio::spawn(async move { traffic(&harness, &is_over, writes).await })
    });
    let patience = ErasePatience { wait_max: Duration::from_secs(10), ..ErasePatience::default() };
    let erased = erase_files(&harness.backend.url, patience).await.unwrap();
    is_over.store(true, Ordering::SeqCst);
    for (busy, name) in busy.into_iter().zip(["writer", "reader"]) {
        let (calls, longest) = busy.await.unwrap();
        eprintln!("{name} of the bystander: {calls} calls, the longest {longest:?}");
        assert!(calls > 0 && longest < 3 * patience.wait_max, "{name}: {calls} calls, the longest {longest:?}");
    }
    assert_eq!((erased.level, erased.purges, erased.purges_in_progress), (Level::Files, 1, 0), "{erased:?}");
    assert!(erased.rewritten.iter().any(|table| table.table == "lethe.version"), "{erased:?}");
    assert_eq!(counted(), (0, 100));
    assert!(harness.read_for(&harness.bystander, "Patient/r0").await.is_some());

    let again = erase_files(&harness.backend.url, patience).await.unwrap();
    assert_eq!(
        (again.level, again.rewritten.len(), again.rewritten_before as usize),
        (Level::Files, 0, erased.rewritten.len()),
        "{again:?}"
    );
    harness.put(json!({"resourceType": "Patient", "id": "later"})).await;
    assert_eq!(harness.purge(Selection::default()).await.state, JobState::Successful);
    let anew = erase_files(&harness.backend.url, patience).await.unwrap();
    assert_eq!((anew.purges, anew.rewritten.len()), (2, erased.rewritten.len()), "another purge has ended: {anew:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_a_page_is_in_no_file_either_once_they_are_erased() {
    let Some(directory) = directory() else { return };
    let harness = Harness::<Postgres>::open().await;
    let client = harness.backend.client().await;
    let database: u32 = client.query_one("select oid from pg_database where datname = current_database()", &[]).await.unwrap().get(0);
    let (planted, kept) = (plant_large(&harness, &harness.account, 40).await, plant_large(&harness, &harness.bystander, 6).await);
    // Some strings lie across the end of one of the pieces of two kilobytes in which PostgreSQL keeps large values.
    let toasted = in_toast(&client, "version", &planted).await;
    assert!(toasted > 105, "the control: of 120 strings {toasted} stand in TOAST");
    client.batch_execute("checkpoint").await.unwrap();
    let counted = || (found(&directory, database, &planted).len(), found(&directory, database, &kept).len());
    let (before, kept_before) = counted();
    assert!(before >= toasted && kept_before > 12, "the control: {before} and {kept_before}");
    assert_eq!(harness.purge(Selection::default()).await.state, JobState::Successful);
    client.batch_execute("vacuum").await.unwrap();
    client.batch_execute("checkpoint").await.unwrap();
    let (still, _) = counted();
    assert!(in_toast(&client, "version", &planted).await == 0 && still > 60, "the control: gone for SQL, and {still} in the files");

    let patience = ErasePatience { wait_max: Duration::from_secs(10), ..ErasePatience::default() };
    assert_eq!(erase_files(&harness.backend.url, patience).await.unwrap().level, Level::Files);
    assert_eq!(counted(), (0, kept_before));
    assert!(harness.read_for(&harness.bystander, "Binary/large0").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_takes_longer_than_a_call_may_wait_is_left_and_the_level_is_not_claimed() {
    let Some(directory) = directory() else { return };
    let harness = Harness::<Postgres>::open().await;
    let client = harness.backend.client().await;
    let fill = "alter table purge_removed alter column seqs set storage external;
        insert into purge_removed select 1, n, 1, 1, convert_to(repeat('x', 1000000), 'UTF8') from generate_series(1, 40) n";
    client.batch_execute(fill).await.unwrap();
    let patience = ErasePatience { wait_max: Duration::from_secs(2), ..ErasePatience::default() };
    let erased = erase_files(&harness.backend.url, patience).await.unwrap();
    let left = erased.left.first().unwrap_or_else(|| panic!("{erased:?}"));
    assert_eq!((left.table.as_str(), erased.level, erased.log_files), ("lethe.purge_removed", Level::Rows, 0), "{erased:?}");
    assert!(matches!(left.because, LeftBecause::TooLarge(_)) && erased.left.len() == 1, "{erased:?}");
    // In quiet hours somebody else does it; that counts, and the rest is not done again.
    client.batch_execute("vacuum full purge_removed").await.unwrap();
    let again = erase_files(&harness.backend.url, patience).await.unwrap();
    assert_eq!((again.level, again.rewritten.len()), (Level::Files, 0), "{again:?}");
    // What is dead does not count.
    client.batch_execute("delete from purge_removed; comment on table purge_removed is null").await.unwrap();
    let emptied = erase_files(&harness.backend.url, patience).await.unwrap();
    assert_eq!(
        (emptied.level, emptied.rewritten.len(), emptied.rewritten[0].bytes_before > 40_000_000),
        (Level::Files, 1, true),
        "{emptied:?}"
    );
    // As a server that dies while it writes a table anew leaves one.
    let database: u32 = client.query_one("select oid from pg_database where datname = current_database()", &[]).await.unwrap().get(0);
    fs::write(directory.join(format!("base/{database}/999999999.1")), "old bytes").unwrap();
    let impatient = ErasePatience { others_max: Duration::from_secs(1), ..patience };
    let refused = erase_files(&harness.backend.url, impatient).await.unwrap();
    assert_eq!((refused.level, refused.ownerless_files), (Level::Rows, vec![format!("base/{database}/999999999.1")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_while_somebody_may_still_see_what_was_deleted() {
    let Some(_) = directory() else { return };
    let harness = Harness::<Postgres>::open().await;
    let reader = harness.backend.client().await;
    reader.batch_execute("begin isolation level repeatable read; select count(*) from version").await.unwrap();
    harness.put(json!({"resourceType": "Patient", "id": "later"})).await;
    let patience = ErasePatience { others_max: Duration::ZERO, ..ErasePatience::default() };
    let refused = erase_files(&harness.backend.url, patience).await.unwrap_err();
    let pid: i32 = reader.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let names = |views: &[String]| views.iter().any(|view| view.contains(&format!("session {pid} ")));
    assert!(matches!(&refused, EraseFilesError::OlderViews(views) if names(views)), "{refused}");
    let noted = "select count(*) from pg_description where description like 'erase-files%'";
    assert_eq!(reader.query_one(noted, &[]).await.unwrap().get::<_, i64>(0), 0, "nothing was begun");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_the_rights_is_told_which_and_nothing_is_done() {
    let Some(_) = directory() else { return };
    let harness = Harness::<Postgres>::open().await;
    let role = format!("lethe_role_{}", Uuid::new_v4().simple());
    let client = harness.backend.client().await;
    client.batch_execute(&format!("create role {role} login; grant usage on schema lethe to {role}")).await.unwrap();
    let url = harness.backend.url.replacen("postgres@", &format!("{role}@"), 1);
    let refused = erase_files(&url, ErasePatience::default()).await.unwrap_err();
    let EraseFilesError::Rights(missing) = &refused else { panic!("{refused}") };
    // What it says is what helps.
    for remedy in missing {
        client.batch_execute(remedy).await.unwrap();
    }
    let erased = erase_files(&url, ErasePatience { wait_max: Duration::from_secs(10), ..ErasePatience::default() }).await;
    let server = connect(&url_of("postgres")).await;
    client.batch_execute(&format!("reassign owned by {role} to current_user; drop owned by {role}")).await.unwrap();
    server.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
    assert_eq!(erased.unwrap().level, Level::Files);
    assert_eq!(missing.len() - 5, harness.backend.tables().await.len(), "five rights, and every table: {missing:?}");
}
