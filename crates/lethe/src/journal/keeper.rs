//! Who writes the journal: the process that serves an embedded store, or all that serve a database, one after the other.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use lethe_jobs::JobEvent;
use lethe_store::{Clock, JobId, JournalMark, PurgeJob, PurgeJournal, PurgeWork, Recovery, StoreError};
use tokio::{
    io::AsyncWriteExt,
    sync::{Mutex, MutexGuard},
    time::Instant,
};
use uuid::Uuid;

use super::{
    Digested,
    entry::{Entry, FORMAT, PurgeEnd, part_entry, write_line},
    parts::digest_of,
    scan::{JournalError, Scan, scan_on},
};

/// How long a record waits for another process to end its own, which takes milliseconds.
const TURN_WAIT: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const TURN_PAUSE: Duration = Duration::from_millis(20);

/// Who else writes the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    /// Nobody, from the start of this process to its end.
    One,
    /// Whoever serves the same database; each record takes the file's lock.
    Many,
}

/// An open journal.
pub(crate) struct JournalKeeper {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Recovery>,
    writers: Writers,
    /// The file once more: only for its lock.
    lock: File,
    open: Mutex<Open>,
}

struct Open {
    file: tokio::fs::File,
    /// Bytes up to the last record that counts; `None` before it has been read.
    bytes: Option<u64>,
    last: Option<JournalMark>,
    /// On which the database is written to.
    line: Option<Uuid>,
    /// What was read of it. What this process has written since is read as well, when it has to be read on.
    scan: Scan,
    /// Jobs on record whose end the database did not come to know: what each had removed.
    unacknowledged: HashMap<JobId, [u8; 32]>,
}

impl JournalKeeper {
    /// Opens the journal of a store, or begins one.
    ///
    /// # Errors
    /// It cannot be written, or another process has it for itself.
    pub(crate) async fn open(path: &Path, store: Arc<dyn Recovery>, clock: Arc<dyn Clock>, writers: Writers) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File { path: path.to_owned(), source };
        let file = open_file(path).map_err(failed)?;
        let lock = file.try_clone().map_err(failed)?;
        if writers == Writers::One {
            match lock.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Err(JournalError::InUse(path.to_owned())),
                Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        let open = Open {
            file: tokio::fs::File::from_std(file),
            bytes: None,
            last: None,
            line: None,
            scan: Scan::default(),
            unacknowledged: HashMap::new(),
        };
        let keeper = Self { path: path.to_owned(), clock, store, writers, lock, open: Mutex::new(open) };
        keeper.begin_if_empty().await?;
        Ok(keeper)
    }

    async fn begin_if_empty(&self) -> Result<(), JournalError> {
        let failed = |source| JournalError::File { path: self.path.clone(), source };
        let mut draft = self.draft().await?;
        if draft.open.last.is_none() {
            let store = self.store.lineage().await.map_err(|error| failed(io::Error::other(error)))?.store_id;
            draft.push(&Entry::Journal { format: FORMAT, store, on: self.clock.now().to_string() }).map_err(failed)?;
            draft.commit().await.map_err(failed)?;
            sync_directory(&self.path).map_err(failed)?;
        }
        Ok(())
    }

    /// Puts on record that a server begins to give out places behind those that were given out, and has the store begin the line.
    ///
    /// # Errors
    /// It is not on the disk, or not in the database.
    pub(crate) async fn begin_line(&self) -> anyhow::Result<()> {
        let mut draft = self.draft().await?;
        // The line leaves the other at one place: whoever gives out another would have it on both.
        let still = self.store.still().await?;
        let lineage = still.lineage().await?;
        let line = Uuid::new_v4();
        let begun = Entry::Line { line, after_line: lineage.line, after_seq: lineage.last_seq.0, on: self.clock.now().to_string() };
        let written = draft.push(&begun);
        let mark = match written {
            Ok(()) => draft.commit().await,
            Err(error) => Err(error),
        };
        let mark = mark.map_err(|source| JournalError::File { path: self.path.clone(), source })?;
        still.begin_line(line, mark).await?;
        draft.open.line = Some(line);
        Ok(())
    }

    /// This process's turn to write.
    async fn draft(&self) -> Result<Draft<'_>, JournalError> {
        let failed = |source| JournalError::File { path: self.path.clone(), source };
        let mut open = self.open.lock().await;
        let turn = self.turn().await.map_err(failed)?;
        let metadata = open.file.metadata().await.map_err(failed)?;
        let bytes = metadata.len();
        if !is_same(&tokio::fs::metadata(&self.path).await.map_err(failed)?, &metadata) {
            return Err(failed(io::Error::other("another file has taken its place since it was opened: start this server again")));
        }
        if open.bytes != Some(bytes) {
            // Another has written, or an attempt of this process broke off.
            self.read_on(&mut open).await?;
        }
        if open.bytes != Some(bytes) {
            open.file.set_len(open.bytes.unwrap_or_default()).await.map_err(failed)?;
        }
        Ok(Draft { last: open.last, bytes: open.bytes.unwrap_or_default(), open, buffer: Vec::new(), _turn: turn })
    }

    async fn turn(&self) -> io::Result<Option<Turn<'_>>> {
        if self.writers == Writers::One {
            return Ok(None);
        }
        let began = Instant::now();
        loop {
            match self.lock.try_lock() {
                Ok(()) => return Ok(Some(Turn(&self.lock))),
                Err(fs::TryLockError::Error(error)) => return Err(error),
                // OK to give up: the record is tried again, and whoever has the lock is alive, if perhaps stopped.
                Err(fs::TryLockError::WouldBlock) if began.elapsed() > TURN_WAIT => {
                    return Err(io::Error::other("another server of this database has been writing it for too long"));
                }
                Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(TURN_PAUSE).await,
            }
        }
    }

    /// From where it was read last: it may be long, and others write at any time.
    async fn read_on(&self, open: &mut Open) -> Result<(), JournalError> {
        let failed = |source| JournalError::File { path: self.path.clone(), source };
        let lineage = self.store.lineage().await.map_err(|error| failed(io::Error::other(error)))?;
        open.bytes = None;
        let (path, earlier) = (self.path.clone(), std::mem::take(&mut open.scan));
        let read = tokio::task::spawn_blocking(move || {
            let scanned = scan_on(&path, &lineage, earlier)?.unwrap_or_default();
            let mut unacknowledged = HashMap::new();
            for recorded in &scanned.unknown {
                unacknowledged.insert(recorded.end.job, digest_of(&path, recorded)?);
            }
            Ok((scanned, unacknowledged))
        });
        let (scanned, unacknowledged) = read.await.map_err(|join| failed(io::Error::other(join)))??;
        if scanned.torn_bytes > 0 {
            tracing::warn!(
                bytes = scanned.torn_bytes,
                "the end of the purge journal was being written when its server ended; it is written anew"
            );
        }
        *open = Open {
            file: open.file.try_clone().await.map_err(failed)?,
            bytes: Some(scanned.whole_bytes),
            last: scanned.last,
            line: lineage.line,
            scan: scanned,
            unacknowledged,
        };
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        StoreError::Failed(format!("the purge journal {} cannot be written: {error}", self.path.display()).into())
    }
}

#[async_trait]
impl PurgeJournal for JournalKeeper {
    async fn record(&self, work: &dyn PurgeWork, job: &PurgeJob, event: JobEvent) -> Result<JournalMark, StoreError> {
        let mut draft = self.draft().await.map_err(|error| StoreError::Failed(Box::new(error)))?;
        let (mut after, mut versions, mut parts, mut digested) = (0, 0, 0, Digested::new());
        loop {
            let page = work.removed_parts(job.job_id, after).await?;
            let Some(last) = page.last() else { break };
            after = last.part;
            parts += page.len() as u64;
            for part in &page {
                versions += part.seqs.len();
                digested.add(part);
                draft.push(&part_entry(job.job_id, part)).map_err(|error| self.failed(&error))?;
            }
            draft.write().await.map_err(|error| self.failed(&error))?;
        }
        let digested = digested.finish();
        let is_known = if parts == 0 {
            draft.open.scan.recorded.contains(&job.job_id)
        } else {
            draft.open.unacknowledged.get(&job.job_id) == Some(&digested)
        };
        if let Some(last) = draft.open.last.filter(|_| is_known) {
            // What was written of it lies behind the end that counts, and is cut off by whoever writes next.
            return Ok(last);
        }
        let end = PurgeEnd::new(job, event, draft.open.line, self.clock.now(), (parts, versions));
        draft.push(&Entry::Purge(end)).map_err(|error| self.failed(&error))?;
        let mark = draft.commit().await.map_err(|error| self.failed(&error))?;
        draft.open.scan.recorded.insert(job.job_id);
        Ok(mark)
    }
}

/// The file's lock, given back when this is dropped.
struct Turn<'a>(&'a File);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::error!(error = &error as &dyn std::error::Error, "the lock of the purge journal could not be given back");
        }
    }
}

/// Lines that are being written behind the end; they count when all of them are on the disk.
struct Draft<'a> {
    open: MutexGuard<'a, Open>,
    last: Option<JournalMark>,
    bytes: u64,
    buffer: Vec<u8>,
    _turn: Option<Turn<'a>>,
}

impl Draft<'_> {
    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        self.last = Some(write_line(self.last, entry, &mut self.buffer)?);
        Ok(())
    }

    async fn write(&mut self) -> io::Result<()> {
        self.open.file.write_all(&self.buffer).await?;
        self.open.file.flush().await?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    async fn commit(&mut self) -> io::Result<JournalMark> {
        self.write().await?;
        self.open.file.sync_all().await?;
        self.open.bytes = Some(self.bytes);
        self.open.last = self.last;
        self.last.ok_or_else(|| io::Error::other("nothing was written"))
    }
}

/// Opens the file to append to it.
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether both are of one file, as far as this system tells.
fn is_same(there: &fs::Metadata, here: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (there.dev(), there.ino()) == (here.dev(), here.ino())
    }
    #[cfg(not(unix))]
    {
        there.len() == here.len()
    }
}

/// A file that was made is there after a power cut only if its directory is on the disk.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
