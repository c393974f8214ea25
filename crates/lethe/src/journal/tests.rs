//! A journal that others write while it is open.

use std::{fs, path::Path, sync::Arc};

use lethe_purge::Seq;
use lethe_store::{JournalMark, Lineage, Recovery, SystemClock};
use lethe_store_sqlite::SqliteStore;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    JournalError, JournalKeeper, Scan, Writers,
    entry::{Entry, FORMAT, write_line},
    scan::{scan, scan_on},
};

/// What a server and its purges write, and the marks behind each record.
struct Journal {
    directory: TempDir,
    lineage: Lineage,
    marks: Vec<JournalMark>,
}

impl Journal {
    fn new() -> Self {
        let lineage = Lineage { store_id: Uuid::new_v4(), line: None, mark: None, last_seq: Seq(0) };
        let mut journal = Self { directory: tempfile::tempdir().unwrap(), lineage, marks: Vec::new() };
        journal.push(&[Entry::Journal { format: FORMAT, store: journal.lineage.store_id, on: String::new() }]);
        journal
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("purge.journal")
    }

    fn push(&mut self, entries: &[Entry]) {
        let mut bytes = fs::read(self.path()).unwrap_or_default();
        for entry in entries {
            self.marks.push(write_line(self.marks.last().copied(), entry, &mut bytes).unwrap());
        }
        fs::write(self.path(), bytes).unwrap();
    }

    /// A purge in one part.
    fn purge(&mut self) -> Uuid {
        let job = Uuid::new_v4();
        let end = json!({
            "job": job, "client": "c", "account": 1, "types": null, "before_ms": null, "include_deleted": false, "created_on_ms": 0,
            "outcome": "successful", "on": "", "line": null, "parts": 1, "versions": 1,
        });
        let part = Entry::Removed { job, account: 1, r#type: "Basic".to_owned(), seqs: String::new() };
        self.push(&[part, Entry::Purge(serde_json::from_value(end).unwrap())]);
        job
    }

    fn scan(&self) -> Scan {
        scan(&self.path(), &self.lineage).unwrap().unwrap()
    }

    fn scan_on(&self, earlier: Scan) -> Result<Scan, JournalError> {
        scan_on(&self.path(), &self.lineage, earlier).map(Option::unwrap)
    }

    /// Makes the first record another, so that who reads it says so.
    fn damage_begin(&self) {
        exchange(&self.path(), "\"format\":1", "\"format\":7");
    }
}

/// Exchanges bytes of the first record, as many as there were.
fn exchange(path: &Path, from: &str, to: &str) {
    fs::write(path, fs::read_to_string(path).unwrap().replacen(from, to, 1)).unwrap();
}

/// All that a scan found, to be compared.
fn found(scan: &Scan) -> String {
    let mut recorded: Vec<Uuid> = scan.recorded.iter().copied().collect();
    recorded.sort();
    let unknown: Vec<_> = scan.unknown.iter().map(|end| (end.end.job, end.mark, end.parts_at, end.before_parts)).collect();
    format!("{:?} {} {} {recorded:?} {unknown:?}", scan.last, scan.whole_bytes, scan.torn_bytes)
}

#[test]
fn what_others_have_written_is_read_from_where_it_was_read_last() {
    let mut journal = Journal::new();
    let mut earlier = journal.scan();
    for purges in 0..4 {
        for _ in 0..purges {
            journal.purge();
        }
        let line = Uuid::new_v4();
        journal.push(&[Entry::Line { line, after_line: journal.lineage.line, after_seq: 0, on: String::new() }]);
        journal.lineage.line = Some(line);
        // The database knows all but the last purge.
        journal.lineage.mark = (purges > 1).then(|| journal.marks[journal.marks.len() - 4]);
        let on = journal.scan_on(earlier).unwrap();
        assert_eq!(found(&on), found(&journal.scan()), "{purges} purges later");
        assert_eq!(on.unknown.len(), usize::from(purges > 0), "{purges} purges later");
        earlier = on;
    }
    journal.purge();
    journal.damage_begin();
    assert!(matches!(scan(&journal.path(), &journal.lineage), Err(JournalError::Damaged { record: 1, .. })), "the control");
    let on = journal.scan_on(earlier).unwrap();
    assert_eq!((on.last, on.recorded.len()), (journal.marks.last().copied(), 7), "what is long known is not read again");
}

#[test]
fn a_journal_that_is_not_what_it_was_is_read_from_its_beginning() {
    let mut journal = Journal::new();
    let first = journal.purge();
    let before = fs::read(journal.path()).unwrap();
    journal.purge();
    // Cut off.
    let (known, whole) = (journal.scan(), fs::read(journal.path()).unwrap());
    fs::write(journal.path(), &before).unwrap();
    let cut = journal.scan_on(known).unwrap();
    assert_eq!(cut.recorded, [first].into());
    fs::write(journal.path(), &whole).unwrap();

    // Cut off, and another record of the same length written there.
    let line = |line| Entry::Line { line, after_line: None, after_seq: 0, on: String::new() };
    let [cut_off, instead] = [1, 2].map(Uuid::from_u128);
    journal.push(&[line(cut_off)]);
    let known = journal.scan();
    fs::write(journal.path(), &whole).unwrap();
    journal.marks.pop();
    journal.push(&[line(instead)]);
    let on = journal.scan_on(known).unwrap();
    assert_eq!((on.lines.knows(Some(cut_off)), on.lines.knows(Some(instead)), on.last), (false, true, journal.marks.last().copied()));
    fs::write(journal.path(), &whole).unwrap();

    // Torn by a writer that died: a line without an end counts for nothing.
    let known = journal.scan();
    fs::write(journal.path(), [&whole[..], b"{\"n\":"].concat()).unwrap();
    let torn = journal.scan_on(known).unwrap();
    assert_eq!((torn.whole_bytes, torn.torn_bytes), (whole.len() as u64, 5));
    fs::write(journal.path(), &whole).unwrap();

    // Another in its place: of the same store with another history, or of another store.
    let mut other = Journal::new();
    other.lineage.store_id = journal.lineage.store_id;
    (other.marks, _) = (Vec::new(), fs::remove_file(other.path()).unwrap());
    other.push(&[Entry::Journal { format: FORMAT, store: journal.lineage.store_id, on: "later".to_owned() }]);
    let jobs = [other.purge(), other.purge(), other.purge()];
    let known = journal.scan();
    fs::copy(other.path(), journal.path()).unwrap();
    assert_eq!(journal.scan_on(known).unwrap().recorded, jobs.into());
    fs::write(journal.path(), &whole).unwrap();
    let known = journal.scan();
    fs::copy(Journal::new().path(), journal.path()).unwrap();
    assert!(matches!(journal.scan_on(known), Err(JournalError::Foreign { .. })));
    fs::write(journal.path(), &whole).unwrap();

    // The database knows another record than was read.
    let known = journal.scan();
    let foreign = JournalMark { hash: [9; 32], ..journal.marks[2] };
    let lineage = Lineage { mark: Some(foreign), ..journal.lineage };
    assert!(matches!(scan_on(&journal.path(), &lineage, known), Err(JournalError::Foreign { .. })));
}

async fn keeper(path: &Path, store: &Arc<dyn Recovery>) -> Result<JournalKeeper, JournalError> {
    JournalKeeper::open(path, Arc::clone(store), Arc::new(SystemClock), Writers::Many).await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_write_in_turn_read_on_and_notice_another_file_in_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Recovery> = Arc::new(SqliteStore::open(directory.path(), Arc::new(SystemClock)).unwrap());
    let path = directory.path().join("purge.journal");
    let (one, other) = (keeper(&path, &store).await.unwrap(), keeper(&path, &store).await.unwrap());
    let in_turn = async || {
        for _ in 0..3 {
            other.begin_line().await.unwrap();
            one.begin_line().await.unwrap();
        }
    };
    in_turn().await;
    exchange(&path, "\"format\":1", "\"format\":7");
    in_turn().await;
    assert!(matches!(keeper(&path, &store).await, Err(JournalError::Damaged { record: 1, .. })), "who opens it reads all: the control");
    exchange(&path, "\"format\":7", "\"format\":1");
    assert!(keeper(&path, &store).await.is_ok(), "one chain");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 13);

    // Moved away: what is written there is lost to whoever looks in its place.
    let rotated = directory.path().join("purge.journal.1");
    fs::rename(&path, &rotated).unwrap();
    assert!(one.begin_line().await.is_err(), "there is none");
    fs::copy(&rotated, &path).unwrap();
    let length = fs::metadata(&rotated).unwrap().len();
    let refused = one.begin_line().await.unwrap_err();
    assert!(format!("{refused:#}").contains("another file"), "{refused:#}");
    assert_eq!((fs::metadata(&rotated).unwrap().len(), fs::metadata(&path).unwrap().len()), (length, length));
    assert!(keeper(&path, &store).await.unwrap().begin_line().await.is_ok(), "a server that starts goes on");
}
