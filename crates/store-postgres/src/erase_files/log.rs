//! The write-ahead log: no file that was written before now survives, under whichever name.
//!
//! After a checkpoint PostgreSQL removes the files that it needs no more, or gives them the name of a later one and keeps the old bytes in it until it
//! gets there. So the log is led past the last file that waited: whoever begins a new file early has the rest of the old one filled with zeros.

use std::time::{Duration, Instant};

use lethe_store::StoreError;

use super::session::Session;
use crate::error::store_error;

const LOG_FILES: &str = include_str!("../../sql/erase_files/log_files.sql");
const WRITE_TO_LOG: &str = include_str!("../../sql/erase_files/write_to_log.sql");
const NEXT_LOG_FILE: &str = include_str!("../../sql/erase_files/next_log_file.sql");
const KEEPERS_OF_LOG: &str = include_str!("../../sql/erase_files/keepers_of_log.sql");

/// A checkpoint writes whatever has changed since the last; nobody waits for it.
const CHECKPOINT_MAX: Duration = Duration::from_secs(3_600);
/// Rest before asking again whether old files are gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Log {
    /// Files that were filled anew.
    pub files: u64,
    /// What keeps older ones; empty if there are none.
    pub kept_by: Vec<String>,
}

pub(super) async fn renew(session: &Session, wait_max: Duration) -> Result<Log, StoreError> {
    let last_old: String = session.one(WRITE_TO_LOG).await?;
    let _: String = session.one(NEXT_LOG_FILE).await?;
    let began = Instant::now();
    loop {
        // It is what removes and renames, also what was kept before; and it removes the old files of the tables.
        session.run_within(CHECKPOINT_MAX, "checkpoint").await.map_err(store_error)?;
        let oldest = session.texts(LOG_FILES).await?.into_iter().next();
        let Some(oldest) = oldest.filter(|oldest| *oldest <= last_old) else { break };
        if began.elapsed() >= wait_max {
            let mut kept_by = session.texts(KEEPERS_OF_LOG).await?;
            if kept_by.is_empty() {
                kept_by.push(format!("the log still begins with {oldest}, and needs more than {last_old}"));
            }
            return Ok(Log { files: 0, kept_by });
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    // All that are there now have later names, and what gets one from here on was written after the tables.
    let last_waiting = session.texts(LOG_FILES).await?.into_iter().next_back();
    let mut files = 0;
    loop {
        let began = Instant::now();
        let current: String = session.one(WRITE_TO_LOG).await?;
        if last_waiting.as_ref().is_none_or(|last| current > *last) {
            return Ok(Log { files, kept_by: Vec::new() });
        }
        let _: String = session.one(NEXT_LOG_FILE).await?;
        files += 1;
        // Nobody can write while the rest of a file is filled; let them in between.
        tokio::time::sleep(began.elapsed()).await;
    }
}
