//! Leaving no old byte behind, and giving freed space back.
//!
//! `secure_delete` overwrites what a transaction frees, [`clean_writes`](crate::clean_writes) what SQLite leaves within pages; the write-ahead log keeps
//! older copies of pages until it is truncated. So: give free pages back where that is cheap, copy the log into the database, truncate the log. Free
//! pages that stay hold zeros; the writer gives them back when nobody asks for it (docs/adr/0027).

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use lethe_jobs::Lease;
use lethe_store::{JobId, StoreError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Result;
use crate::{SqliteStore, connections::open_writer, error::store_error};

/// Free pages are given back at once if at most so many pages have to be moved for it: about 30 ms of work.
const MOVED_PAGES_MAX: i64 = 1_500;
/// Pages that the idle writer gives back in one transaction.
const VACUUM_STEP_PAGES: i64 = 16;
/// How long it does so without looking whether it is asked for.
const VACUUM_TIME: Duration = Duration::from_millis(10);
/// Tries to truncate the log while readers come and go: a minute in all.
const TRUNCATE_TRIES_MAX: u32 = 130;
/// Wait after the first; it grows, so that writers are not kept waiting for a reader that takes its time.
const TRUNCATE_PAUSE: Duration = Duration::from_millis(10);
/// The longest wait.
const TRUNCATE_PAUSE_MAX: Duration = Duration::from_millis(500);

pub(super) async fn erase(store: &SqliteStore, lease: Lease<JobId>) -> Result<()> {
    store.renew(lease).await?;
    store.connections.with_writer(|writer| Ok(give_back_if_cheap(writer)?)).await?;
    let mut pause = TRUNCATE_PAUSE;
    for _ in 0..TRUNCATE_TRIES_MAX {
        // The bulk of the log is copied while others write, so that only its tail is copied while they wait.
        store.checkpointer.checkpoint().await?;
        if store.connections.with_writer(|writer| Ok(truncate_log(writer)?)).await? {
            return Ok(());
        }
        store.renew(lease).await?;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(TRUNCATE_PAUSE_MAX);
    }
    Err(StoreError::Unavailable("a long read keeps the write-ahead log from being truncated".into()))
}

/// Takes what a short transaction has removed out of the log, if nobody reads it at this moment; otherwise the next erasure does.
pub(crate) async fn empty_log(store: &SqliteStore) {
    let emptied = async {
        store.checkpointer.checkpoint().await?;
        store.connections.with_writer(|writer| Ok(truncate_log(writer)?)).await
    };
    match emptied.await {
        Ok(true) => {}
        Ok(false) => tracing::debug!("the write-ahead log could not be emptied while it is read; the next erasure does it"),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the write-ahead log could not be emptied; the next erasure does it")
        }
    }
}

/// Gives all free pages back in one commit if few pages lie behind those that stay.
fn give_back_if_cheap(writer: &Connection) -> rusqlite::Result<()> {
    let count = |pragma| writer.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (pages, free) = (count("page_count")?, count("freelist_count")?);
    if free > 0 && free.min(pages - free) <= MOVED_PAGES_MAX {
        // With this setting a commit gives all free pages back, and to change it is a commit.
        writer.pragma_update(None, "auto_vacuum", "full")?;
        writer.pragma_update(None, "auto_vacuum", "incremental")?;
    }
    Ok(())
}

/// Gives some free pages back; returns whether there are more. Each costs a look along the list of all free pages.
pub(crate) fn give_some_back(writer: &Connection) -> rusqlite::Result<bool> {
    let began = Instant::now();
    while writer.pragma_query_value(None, "freelist_count", |row| Ok(row.get::<_, i64>(0)? > 0))? {
        if began.elapsed() > VACUUM_TIME {
            return Ok(true);
        }
        let mut statement = writer.prepare_cached(&format!("pragma incremental_vacuum({VACUUM_STEP_PAGES})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(false)
}

/// Copies the log into the database and cuts it to nothing. `false` if a reader or another process stood in the way.
pub(super) fn truncate_log(writer: &Connection) -> rusqlite::Result<bool> {
    // Whoever waits for the writer waits for this too, so it does not wait for readers.
    writer.busy_timeout(Duration::from_millis(10))?;
    let is_blocked = writer.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get::<_, bool>(0));
    writer.busy_timeout(Duration::from_millis(crate::connections::BUSY_WAIT_MS))?;
    Ok(!is_blocked?)
}

/// Copies the log into the database now and then, and when asked, on a thread and connection of its own, so that no commit has to.
pub(crate) struct Checkpointer {
    requests: Option<Sender<oneshot::Sender<rusqlite::Result<()>>>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The log is copied when it is longer than this, in bytes.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

impl Checkpointer {
    pub(crate) fn start(database: &Path) -> rusqlite::Result<Self> {
        let connection = open_writer(database)?;
        let log = log_path(database);
        let (requests, requested) = mpsc::channel::<oneshot::Sender<rusqlite::Result<()>>>();
        let thread = thread::spawn(move || {
            loop {
                match requested.recv_timeout(LOOK_INTERVAL) {
                    // OK because whoever asked may have given up by now.
                    Ok(reply) => drop(reply.send(copy_log(&connection))),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        let is_long = std::fs::metadata(&log).is_ok_and(|log| log.len() > LOG_BYTES_MAX);
                        if is_long && let Err(error) = copy_log(&connection) {
                            tracing::warn!(%error, "the write-ahead log could not be copied into the database; it grows until that works");
                        }
                    }
                }
            }
        });
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Copies what can be copied now.
    pub(super) async fn checkpoint(&self) -> Result<()> {
        let (reply, copied) = oneshot::channel();
        let is_sent = self.requests.as_ref().is_some_and(|requests| requests.send(reply).is_ok());
        match copied.await {
            Ok(copied) if is_sent => copied.map_err(store_error),
            _ => Err(StoreError::Failed("the thread that copies the write-ahead log has ended".into())),
        }
    }
}

/// Copies as much of the log as readers and writers allow, without keeping them waiting.
fn copy_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn log_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}
