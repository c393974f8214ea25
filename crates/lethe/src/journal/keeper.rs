//! Who writes the journal: the one process that serves the store.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use lethe_jobs::JobEvent;
use lethe_store::{Clock, JobId, JournalMark, Lineage, PurgeJob, PurgeJournal, PurgeWork, StoreError};
use tokio::{
    io::AsyncWriteExt,
    sync::{Mutex, MutexGuard},
};
use uuid::Uuid;

use super::{
    entry::{Digested, Entry, FORMAT, PurgeEnd, part_entry, write_line},
    scan::{JournalError, Scan},
};

/// An open journal.
pub(crate) struct JournalKeeper {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    open: Mutex<Open>,
}

struct Open {
    file: tokio::fs::File,
    /// Bytes up to the last record that counts.
    bytes: u64,
    last: Option<JournalMark>,
    line: Option<Uuid>,
    recorded: HashSet<JobId>,
    /// Jobs on record whose end the database did not come to know: what each had removed.
    unacknowledged: HashMap<JobId, [u8; 32]>,
}

impl JournalKeeper {
    /// Opens the journal that was scanned, or begins one, and keeps every other process from it.
    ///
    /// # Errors
    /// It cannot be written, or another process has it.
    pub(crate) async fn open(
        path: &Path,
        lineage: &Lineage,
        scan: Scan,
        unacknowledged: HashMap<JobId, [u8; 32]>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File { path: path.to_owned(), source };
        let file = lock(path)?;
        if scan.torn_bytes > 0 {
            tracing::warn!(
                bytes = scan.torn_bytes,
                "the end of the purge journal was being written when the server ended; it is written anew"
            );
        }
        let open = Open {
            file: tokio::fs::File::from_std(file),
            bytes: scan.whole_bytes,
            last: scan.last,
            line: lineage.line,
            recorded: scan.recorded,
            unacknowledged,
        };
        let keeper = Self { path: path.to_owned(), clock, open: Mutex::new(open) };
        if keeper.open.lock().await.last.is_none() {
            let begun = Entry::Journal { format: FORMAT, store: lineage.store_id, on: keeper.clock.now().to_string() };
            keeper.append(&begun).await.map_err(failed)?;
            sync_directory(path).map_err(failed)?;
        }
        Ok(keeper)
    }

    /// Puts on record that a server begins to give out places behind those of `lineage`; returns the line and how far the journal goes.
    ///
    /// # Errors
    /// It is not on the disk.
    pub(crate) async fn begin_line(&self, lineage: &Lineage) -> Result<(Uuid, JournalMark), JournalError> {
        let line = Uuid::new_v4();
        let begun = Entry::Line { line, after_line: lineage.line, after_seq: lineage.last_seq.0, on: self.clock.now().to_string() };
        let mark = self.append(&begun).await.map_err(|source| JournalError::File { path: self.path.clone(), source })?;
        self.open.lock().await.line = Some(line);
        Ok((line, mark))
    }

    async fn append(&self, entry: &Entry) -> io::Result<JournalMark> {
        let mut draft = Draft::begin(self.open.lock().await).await?;
        draft.push(entry)?;
        draft.commit().await
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        StoreError::Failed(format!("the purge journal {} cannot be written: {error}", self.path.display()).into())
    }
}

#[async_trait]
impl PurgeJournal for JournalKeeper {
    async fn record(&self, work: &dyn PurgeWork, job: &PurgeJob, event: JobEvent) -> Result<JournalMark, StoreError> {
        let mut draft = Draft::begin(self.open.lock().await).await.map_err(|error| self.failed(&error))?;
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
            draft.open.recorded.contains(&job.job_id)
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
        draft.open.recorded.insert(job.job_id);
        Ok(mark)
    }
}

/// Lines that are being written behind the end; they count when all of them are on the disk.
struct Draft<'a> {
    open: MutexGuard<'a, Open>,
    last: Option<JournalMark>,
    bytes: u64,
    buffer: Vec<u8>,
}

impl<'a> Draft<'a> {
    /// Cuts off what an attempt before this one left behind the end.
    async fn begin(open: MutexGuard<'a, Open>) -> io::Result<Self> {
        if open.file.metadata().await?.len() != open.bytes {
            let bytes = open.bytes;
            open.file.set_len(bytes).await?;
        }
        Ok(Self { last: open.last, bytes: open.bytes, open, buffer: Vec::new() })
    }

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
        self.open.bytes = self.bytes;
        self.open.last = self.last;
        self.last.ok_or_else(|| io::Error::other("nothing was written"))
    }
}

/// Opens the file to append to it, and locks it.
fn lock(path: &Path) -> Result<File, JournalError> {
    let failed = |source| JournalError::File { path: path.to_owned(), source };
    let mut options = File::options();
    options.create(true).read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(JournalError::InUse(path.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// A file that was made is there after a power cut only if its directory is on the disk.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
