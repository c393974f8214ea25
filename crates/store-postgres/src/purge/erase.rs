//! Bytes that deleted rows leave in files.
//!
//! Deleted rows stay in the pages of the tables until PostgreSQL vacuums them and writes others there, in its log until that is recycled, and in whatever
//! was made from that log: archives, replicas, backups. So a purge reaches the level `rows`; one that was asked to has the files erased before it ends,
//! as `lethe erase-files` does (docs/adr/0039), and reaches `files` if nothing is in the way. Its certificate says which it was.

use std::{error::Error, time::Duration};

use lethe_certificate::document::Level;
use lethe_jobs::{JobState, Lease};
use lethe_store::{JobId, StoreError};

use super::Result;
use crate::{
    PostgresStore,
    erase_files::{self, EraseFilesError, ErasePatience},
};

const SET_ERASURE: &str = include_str!("../../sql/purge/set_erasure.sql");

/// How often the lease is renewed meanwhile, and looked whether the job is to be canceled; less if the lease is short.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How far the bytes of a purge are out of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Erasure {
    /// Nobody asked.
    Rows,
    /// Somebody asked; they may be there still.
    Asked,
    /// They are in none.
    Files,
}

impl Erasure {
    /// As `purge_job.erasure` has it.
    pub(super) fn stored(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Asked => "asked",
            Self::Files => "files",
        }
    }

    /// Reads [`Erasure::stored`].
    pub(super) fn read(stored: &str) -> Result<Self> {
        match stored {
            "rows" => Ok(Self::Rows),
            "asked" => Ok(Self::Asked),
            "files" => Ok(Self::Files),
            other => Err(StoreError::NotUnderstood(format!("erasure = '{other}'"))),
        }
    }

    /// What a certificate may say.
    pub(super) fn level(self) -> Level {
        match self {
            Self::Rows | Self::Asked => Level::Rows,
            Self::Files => Level::Files,
        }
    }
}

pub(super) async fn erase(store: &PostgresStore, lease: Lease<JobId>) -> Result<()> {
    let row = store.renew(lease).await?;
    if row.erasure == Erasure::Rows || row.job.state == JobState::Canceling {
        return Ok(());
    }
    // A retry removes more, and is another purge in this.
    let also = format!("/{}/{}", lease.job_id, row.job.retry_count);
    let tell = |line: &str| tracing::info!(job = %lease.job_id, "erasing files: {line}");
    let erased = tokio::select! {
        erased = erase_files::erase(&store.address, &also, ErasePatience::default(), &tell) => erased,
        canceled = until_canceled(store, lease) => return canceled,
    };
    match erased {
        Ok(erased) if erased.level == Level::Files => {
            store
                .write_under(lease, |tx, row| async move { tx.execute(SET_ERASURE, &[&row.number, &Erasure::Files.stored()]).await })
                .await?;
        }
        Ok(erased) => tracing::warn!(
            job = %lease.job_id,
            left = ?erased.left,
            log_kept_by = ?erased.log_kept_by,
            ownerless_files = ?erased.ownerless_files,
            "the files of the database still hold bytes of what a purge removed, as its certificate will say; lethe erase-files goes on from there"
        ),
        Err(EraseFilesError::Store(error)) => return Err(error),
        Err(error) => tracing::warn!(
            job = %lease.job_id,
            error = &error as &dyn Error,
            "the files of the database still hold bytes of what a purge removed, as its certificate will say; lethe erase-files removes them"
        ),
    }
    Ok(())
}

/// Keeps the lease. Whoever cancels gets his answer at once, and the level that was reached.
async fn until_canceled(store: &PostgresStore, lease: Lease<JobId>) -> Result<()> {
    loop {
        tokio::time::sleep(LOOK_INTERVAL.min(store.lease / 4)).await;
        if store.renew(lease).await?.job.state == JobState::Canceling {
            return Ok(());
        }
    }
}
