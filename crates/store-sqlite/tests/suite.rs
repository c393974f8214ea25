//! The embedded store, held to the suite.

#![allow(clippy::unwrap_used, clippy::panic)] // OK because this file is nothing but tests.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lethe_jobs::{JobState, LiveCall};
use lethe_purge::{PurgeLevel, Selection, Seq};
use lethe_search::export::{ExportQuestion, TypeFilter};
use lethe_store::{
    Clock, Recovery, Store,
    residence::{RESIDENCES, ROWS_BESIDE, Residence},
};
use lethe_store_sqlite::SqliteStore;
use lethe_store_suite::{Backend, Harness, TestClock};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

/// Bytes of a page.
const PAGE: usize = 8 << 10;

struct Sqlite {
    directory: TempDir,
    clock: Arc<TestClock>,
    store: Option<Arc<SqliteStore>>,
}

impl Sqlite {
    fn connection(&self) -> Connection {
        Connection::open(self.directory.path().join("lethe.db")).unwrap()
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn open(clock: Arc<TestClock>) -> Self {
        let mut opened = Self { directory: TempDir::new().unwrap(), clock, store: None };
        opened.restart().await;
        opened
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().unwrap()) as Arc<dyn Store>
    }

    async fn restart(&mut self) {
        self.store = None;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        self.store = Some(Arc::new(SqliteStore::open_for_serving(self.directory.path(), clock).await.unwrap()));
    }

    async fn tables(&self) -> Vec<String> {
        let connection = self.connection();
        let mut statement = connection.prepare("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    async fn rows(&self, table: &str) -> u64 {
        self.connection().query_row(&format!("select count(*) from {table}"), [], |row| row.get(0)).unwrap()
    }

    async fn plant_leftover(&self, residence: &str, account: i64) {
        let patient = "Patient".parse::<lethe_fhir::ResourceType>().unwrap().code();
        let provenance = lethe_fhir::ResourceType::PROVENANCE.code();
        let statement = match residence {
            // An earlier version whose successor is gone.
            "version" => format!("insert into version values ({account}, {patient}, 1, 'x', 1, 0, 1, null, 2, null, x'007d7d')"),
            "resource" => format!("insert into resource values ({account}, {patient}, 'x', 1)"),
            "reference" => format!("insert into reference values ({account}, {patient}, 1, 'x', 1)"),
            "index_value" => format!("insert into index_value values ({account}, {patient}, 1, 4, x'78', 1)"),
            "provenance_target" => format!("insert into provenance_target values ({account}, 1, {provenance}, 'x')"),
            "purge_question" => "insert into purge_question values (1, '{}')".to_owned(),
            "purge_listed" => format!("insert into purge_listed values (1, {account}, 'companion', {provenance}, 1)"),
            "export_question" => format!("insert into export_question values (1, 'c1', {account}, 0, '{{}}')"),
            // What a hold named that has ended.
            "hold_target" => {
                let ended = format!("insert into legal_hold values (9, x'09', {account}, 'patient', '', '', 0, null, null, 1)");
                self.connection().execute(&ended, []).unwrap();
                format!("insert into hold_target values (9, {account}, {patient}, 'x')")
            }
            other => panic!("no leftover is known for {other}"),
        };
        assert_eq!(self.connection().execute(&statement, []).unwrap(), 1);
    }

    fn residences() -> Vec<Residence> {
        RESIDENCES.into_iter().chain(ROWS_BESIDE).collect()
    }

    async fn plant_bytes(&self) -> Option<&'static str> {
        let path = self.directory.path().join("lethe.db");
        let mut bytes = std::fs::read(&path).unwrap();
        // Into the middle of a leaf, between the cell pointers and the cells. Page 2 is a map of pages.
        let leaf = (2..bytes.len() / PAGE).map(|page| page * PAGE).find(|start| {
            let number = |at: usize| usize::from(u16::from_be_bytes([bytes[start + at], bytes[start + at + 1]]));
            [10, 13].contains(&bytes[*start]) && 8 + 2 * number(3) + 100 < number(5)
        });
        let start = leaf.unwrap();
        let end = start + usize::from(u16::from_be_bytes([bytes[start + 5], bytes[start + 6]]));
        bytes[end - 20..end].copy_from_slice(b"Doe, Jane, 1970-01-0");
        std::fs::write(&path, bytes).unwrap();
        Some("unused bytes of the file")
    }

    async fn exchange_body(&self, seq: Seq, body: Vec<u8>) -> Vec<u8> {
        let connection = self.connection();
        let was = connection.query_row("select body from version where seq = ?1", [seq.0 as i64], |row| row.get(0)).unwrap();
        assert_eq!(connection.execute("update version set body = ?2 where seq = ?1", (seq.0 as i64, body)).unwrap(), 1);
        was
    }

    fn files(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn erases_files() -> bool {
        true
    }
}

lethe_store_suite::store_suite!(Sqlite);

/// 300 patients with a name each.
async fn fill(harness: &Harness<Sqlite>) {
    for id in 0..300 {
        harness.put(json!({"resourceType": "Patient", "id": format!("p{id}"), "name": [{"family": "x".repeat(400)}]})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_read_can_be_purged() {
    let harness = Harness::<Sqlite>::open().await;
    fill(&harness).await;
    let damaged = harness.backend.connection().execute("update version set body = x'ffff' where id = 'p7'", []).unwrap();
    assert_eq!(damaged, 1);
    let (patient, id) = ("Patient".parse().unwrap(), "p7".parse().unwrap());
    assert!(harness.store().read(&harness.account, patient, &id).await.is_err(), "the control: it is told, not guessed");
    assert!(harness.read("Patient/p8").await.is_some(), "the others are served");
    let job = harness.purge(Selection::default()).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 300));
    assert!(harness.is_gone("Patient/p7").await);
    harness.assert_bystander_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_fails_the_job_with_its_cause_and_a_retry_finishes_once_it_is_mended() {
    let mut harness = Harness::<Sqlite>::open().await.with_batches_of(50);
    fill(&harness).await;
    harness.backend.store = None;
    let path = harness.backend.directory.path().join("lethe.db");
    let sound = std::fs::read(&path).unwrap();
    assert!(!path.with_extension("db-wal").exists(), "the control: all is in the file");
    // A leaf in the middle of the versions: one that holds the name of patient 150.
    let needle = b"p150";
    let place = sound.windows(needle.len()).rposition(|bytes| bytes == needle).unwrap();
    let mut damaged = sound.clone();
    damaged[place / PAGE * PAGE..][..PAGE].fill(0xEE);
    std::fs::write(&path, &damaged).unwrap();
    harness.backend.restart().await;
    let job_id = harness.kick_off(Selection::default()).await;
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!(job.state, JobState::Failed);
    let told = format!("{:?} {:?}", job.failure, job.failures);
    assert!(told.contains("malformed"), "{told}");
    assert!(harness.read_for(&harness.bystander, "Patient/p").await.is_some(), "the server is up");

    // The page as it was: nothing else of the file has been damaged by going on.
    harness.backend.store = None;
    let mut mended = std::fs::read(&path).unwrap();
    mended[place / PAGE * PAGE..][..PAGE].copy_from_slice(&sound[place / PAGE * PAGE..][..PAGE]);
    std::fs::write(&path, &mended).unwrap();
    harness.backend.restart().await;
    harness.store().retry_purge(&harness.account, job_id).await.unwrap();
    harness.work().await;
    let job = harness.job(job_id).await;
    assert_eq!((job.state, job.totals().deleted), (JobState::Successful, 300), "{job:?}");
    harness.assert_bystander_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_gives_way_to_live_calls_that_become_slow() {
    let harness = Harness::<Sqlite>::open().await.with_batches_of(1);
    let pace = harness.backend.store.as_ref().unwrap().pace();
    for _ in 0..1_000 {
        pace.record(LiveCall::Read, Duration::from_millis(1));
    }
    // From here on what calls take is not learned as usual.
    let _ = pace.rest_after(Duration::ZERO);
    for _ in 0..30 {
        fill(&harness).await;
        let live = Arc::clone(&pace);
        let slow = tokio::spawn(async move {
            let mut often = tokio::time::interval(Duration::from_millis(1));
            loop {
                often.tick().await;
                live.record(LiveCall::Read, Duration::from_millis(20));
            }
        });
        let (began, rested_before) = (Instant::now(), pace.rested());
        assert_eq!(harness.purge(Selection::default()).await.state, JobState::Successful);
        let (took, rested) = (began.elapsed(), pace.rested() - rested_before);
        slow.abort();
        assert!(took >= rested, "{took:?}, and was to rest for {rested:?}");
        if pace.share() < 0.2 && rested > Duration::from_millis(100) {
            return;
        }
    }
    panic!("no purge rested");
}

/// Ended as by a restore of an older copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_purge_was_asked_for_does_not_come_back_with_an_older_copy() {
    let harness = Harness::<Sqlite>::open().await;
    fill(&harness).await;
    let question = ExportQuestion { patients: vec!["p7".parse().unwrap()], ..ExportQuestion::default() };
    let selection = Selection { level: PurgeLevel::Patient, ..Selection::default() };
    let job_id = harness.kick_off_asking(&(selection, question)).await;
    assert_eq!(harness.backend.rows("purge_question").await, 1, "the control");
    let store = harness.backend.store.clone().unwrap();
    let failed = store.fail_in_progress("an older copy is put back", &Harness::<Sqlite>::issuer()).await.unwrap();
    assert_eq!(failed.iter().map(|job| (job.job_id, job.has_forgotten_question())).collect::<Vec<_>>(), [(job_id, true)]);
    assert_eq!(harness.backend.rows("purge_question").await, 0);
    assert_eq!(harness.job(job_id).await.state, JobState::Failed);
}

/// Had failed when the copy was made: what it was asked for may have been purged since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_purge_keeps_for_its_retry_does_not_come_back_with_an_older_copy() {
    let harness = Harness::<Sqlite>::open().await;
    fill(&harness).await;
    let place = harness.read("Patient/p7").await.unwrap().seq;
    harness.backend.exchange_body(place, vec![0xFF]).await;
    let question = ExportQuestion { type_filters: vec![names_filter()], ..ExportQuestion::default() };
    let patient = "Patient".parse().unwrap();
    let selection = Selection { types: Some(vec![patient]), filtered_types: vec![patient], ..Selection::default() };
    let job_id = harness.kick_off_asking(&(selection, question)).await;
    harness.work().await;
    assert_eq!((harness.job(job_id).await.state, harness.backend.rows("purge_question").await), (JobState::Failed, 1), "the control");
    let store = harness.backend.store.clone().unwrap();
    let failed = store.fail_in_progress("an older copy is put back", &Harness::<Sqlite>::issuer()).await.unwrap();
    assert!(failed.is_empty(), "it had failed before: {failed:?}");
    assert_eq!(harness.backend.rows("purge_question").await, 0);
    assert!(harness.job(job_id).await.has_forgotten_question());
}

/// A condition that is looked for in content.
fn names_filter() -> TypeFilter {
    TypeFilter { resource_type: "Patient".parse().unwrap(), pairs: vec![("_content".to_owned(), "x".repeat(400))] }
}
