//! Port: bulk imports, whose lines arrive with a call and are stored batch by batch.
//!
//! An import is a job so that its progress is true after a crash and can be looked at while it runs; nobody goes on with it but its caller, who
//! alone has the lines. Its row holds numbers of lines, and neither content nor ids.

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::Instant;
use lethe_jobs::{JobEvent, JobState, Lease, Refused};

use crate::{JobId, StoreError, Write, WriteError};

/// The beginning of an import.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// Its id, freshly generated.
    pub job_id: JobId,
    /// Who asks.
    pub owner: Scope,
    /// Where the resources go.
    pub account_id: AccountId,
    /// So many lines were read by an earlier import: they are left out, and lines are counted on from there.
    pub after_line: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum ImportStart {
    /// It runs, under this lease.
    Started(Lease<JobId>, Box<ImportJob>),
    /// One is in progress for the account. Nothing changed.
    Conflict {
        /// The one in progress.
        running: JobId,
    },
}

/// An import as stored at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportJob {
    /// Its id.
    pub job_id: JobId,
    /// Where the resources go.
    pub account_id: AccountId,
    /// Where it stands.
    pub state: JobState,
    /// Lines that were left out at the beginning.
    pub after_line: u64,
    /// The last line that has its outcome, counted from 1 and with those that were left out.
    pub last_line: u64,
    /// Resources that were created.
    pub created: u64,
    /// Resources that got another version.
    pub updated: u64,
    /// Lines that were refused.
    pub rejected: u64,
    /// When it began.
    pub created_on: Instant,
    /// The last change.
    pub last_updated: Instant,
    /// When it ended.
    pub completed_on: Option<Instant>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// Some lines and what becomes of them.
#[derive(Clone, Debug, Default)]
pub struct ImportBatch {
    /// The last line of it, counted from 1.
    pub last_line: u64,
    /// What its good lines ask for, in order.
    pub writes: Vec<Write>,
    /// How many of its lines are refused.
    pub rejected: u64,
}

/// What came of a batch.
#[derive(Clone, Debug)]
pub enum ImportProgress {
    /// It is stored and counted.
    Stored(Box<ImportJob>),
    /// Somebody asked to cancel: nothing of it is stored.
    Canceled,
}

/// What came of a cancel.
#[derive(Clone, Debug)]
pub enum ImportCanceled {
    /// It will stop before its next batch.
    Taken(Box<ImportJob>),
    /// It has ended; nothing changed.
    Refused(Refused),
    /// There is no such import for this owner.
    Unknown,
}

/// Bulk imports. A job is visible to its account and to its client's `client` scope, until 24 hours after its end.
#[async_trait]
pub trait Imports: Send + Sync {
    /// Begins an import, if none is in progress for the account.
    async fn start_import(&self, import: &NewImport) -> Result<ImportStart, StoreError>;
    /// Stores a batch and counts it, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the import is no longer in progress; any error: nothing of the batch is stored.
    async fn store_import_batch(&self, lease: &Lease<JobId>, batch: ImportBatch) -> Result<ImportProgress, WriteError>;
    /// Ends it with `Complete`, `Fail` or `Stop`. A cancel that came before is taken as such.
    async fn finish_import(&self, lease: &Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ImportJob, StoreError>;
    /// One job.
    async fn import_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<ImportJob>, StoreError>;
    /// The newest of an owner's imports, newest first, at most `count`.
    async fn import_jobs(&self, owner: &Scope, count: usize) -> Result<Vec<ImportJob>, StoreError>;
    /// Asks an import to stop before its next batch.
    async fn cancel_import(&self, owner: &Scope, job_id: JobId) -> Result<ImportCanceled, StoreError>;
}
