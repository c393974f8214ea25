//! Ports: bulk exports as their owner sees them ([`Exports`]), and as the worker plans them ([`ExportWork`]).
//!
//! An export copies nothing (docs/adr/0022): its job plans files as ranges of versions, and each file is read from the versions themselves
//! when it is fetched. What a purge has removed by then is missing from it.

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{Instant, LocalBases, LogicalId, ResourceType};
use lethe_jobs::{JobEvent, JobState, Lease};
use lethe_purge::{Seq, plan::BatchLimits};
use lethe_search::export::{ExportLevel, TypeFilter};

use crate::{JobId, StoreError, StoredVersion};

/// How long a job and its files can be read after its end: 24 hours, in milliseconds.
pub const BULK_KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// Exports of one owner that are kept at the same time, whatever their state.
pub const EXPORTS_KEPT_MAX: u64 = 100;

/// What is exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportSelection {
    /// Whose resources.
    pub level: ExportLevel,
    /// Of the patients whose resources they are, only these; none: all. Empty at [`ExportLevel::System`].
    pub patients: Vec<LogicalId>,
    /// Only these types; `None`: all.
    pub types: Option<Vec<ResourceType>>,
    /// Only what was last updated after this; and, where nothing else narrows the export, what was deleted after it.
    pub since: Option<Instant>,
    /// Of these types only what fits one of the type's conditions.
    pub type_filters: Vec<TypeFilter>,
    /// What counts as a reference to this server.
    pub bases: LocalBases,
}

impl ExportSelection {
    /// Whether each version has to be looked at: then deletions, which have no content, are not told.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        self.level != ExportLevel::System || !self.type_filters.is_empty()
    }
}

/// A kick-off.
#[derive(Clone, Debug)]
pub struct NewExport {
    /// Its id, freshly generated.
    pub job_id: JobId,
    /// Of which account, or of all of a client.
    pub owner: Scope,
    /// What is exported.
    pub selection: ExportSelection,
}

/// What came of a kick-off.
#[derive(Clone, Debug)]
pub enum ExportKickOff {
    /// It is stored with its watermark.
    Started(Box<ExportJob>),
    /// One is in progress for the same owner. Nothing changed.
    Conflict {
        /// The one in progress.
        running: JobId,
    },
    /// [`EXPORTS_KEPT_MAX`] are kept for the same owner. Nothing changed.
    TooMany,
}

/// An export as stored at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportJob {
    /// Its id.
    pub job_id: JobId,
    /// For whom it runs.
    pub owner: Scope,
    /// What is exported.
    pub selection: ExportSelection,
    /// The last version, in the order of commits, that it may show.
    pub watermark: Seq,
    /// Everything that was last updated up to and at this instant is in it, and nothing later.
    pub transaction_time: Instant,
    /// Where it stands.
    pub state: JobState,
    /// Kick-off.
    pub created_on: Instant,
    /// When it ended.
    pub completed_on: Option<Instant>,
    /// When it and its files will be gone.
    pub expires_on: Option<Instant>,
    /// What has been planned so far: all of it, once the job is successful.
    pub files: Vec<ExportFile>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// What the lines of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFileKind {
    /// Resources.
    Resources,
    /// Resources that were deleted since [`ExportSelection::since`].
    Deletions,
    /// What was asked for and could not be exported.
    Issues,
}

/// One file of an export: a range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Its number within the job, from 1.
    pub file: u64,
    /// What its lines are.
    pub kind: ExportFileKind,
    /// The account that its resources live in.
    pub account_id: AccountId,
    /// Their type.
    pub resource_type: ResourceType,
    /// How many there were when it was planned.
    pub resources: u64,
}

/// A part of a file.
#[derive(Clone, Debug)]
pub struct ExportPage {
    /// What its lines are.
    pub kind: ExportFileKind,
    /// In order of commit, as they were current at the watermark.
    pub versions: Vec<StoredVersion>,
    /// Of [`ExportFileKind::Issues`]: what could not be exported, and why.
    pub issues: Vec<String>,
    /// Where the next part begins: after this place. `None`: this was the last.
    pub next: Option<Seq>,
}

/// Exports, as their owner sees them. One that names resources or quotes values (a Group, conditions) is removed by a purge that was kicked
/// off after it and removed anything of its accounts. A job is visible to its account and to its client's `client` scope; that of a whole client only to the
/// latter. One whose time is over is not there.
#[async_trait]
pub trait Exports: Send + Sync {
    /// Starts a job: takes the writers' lock, reads the watermark, and stores the job, in one short transaction. From then on no version of
    /// its accounts is stored with a time that is not after [`ExportJob::transaction_time`].
    async fn kick_off_export(&self, export: &NewExport) -> Result<ExportKickOff, StoreError>;
    /// One job.
    async fn export_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<ExportJob>, StoreError>;
    /// Removes a job with its files, whatever its state; a worker that has it finds its lease lost. `false`: there is no such job.
    async fn remove_export(&self, owner: &Scope, job_id: JobId) -> Result<bool, StoreError>;
    /// A part of a file of a successful job: what lies after `after`, in at most so many versions and bytes that memory stays small. `None`:
    /// there is no such job or file. Holds no transaction between parts.
    async fn export_page(&self, owner: &Scope, job_id: JobId, file: u64, after: Seq) -> Result<Option<ExportPage>, StoreError>;
}

/// An export that a worker has claimed.
#[derive(Clone, Debug)]
pub struct ClaimedExport {
    /// The right to write for it.
    pub lease: Lease<JobId>,
    /// The job.
    pub job: ExportJob,
}

/// A part of a plan: one account and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportTask {
    /// The account.
    pub account_id: AccountId,
    /// The type.
    pub resource_type: ResourceType,
}

/// The steps of one export, as the worker runs them. Each renews the lease; each fails with [`StoreError::LeaseLost`], having written nothing,
/// when the job has been removed or claimed by another (INV-3). Each may be run again after a crash.
#[async_trait]
pub trait ExportWork: Send + Sync {
    /// Claims the oldest job that waits or whose lease has ended.
    async fn claim_export(&self) -> Result<Option<ClaimedExport>, StoreError>;
    /// Gives the lease back, so that another worker can have the job at once. Nothing where there is one worker.
    async fn give_back_export(&self, _lease: &Lease<JobId>) -> Result<(), StoreError> {
        Ok(())
    }
    /// Throws away an unfinished plan and returns what is to be planned.
    async fn begin_export(&self, lease: &Lease<JobId>) -> Result<Vec<ExportTask>, StoreError>;
    /// Stores the files of one account and type, each within `limits`. Which they are depends on the selection and the watermark, and not on
    /// when this runs.
    async fn plan_export(&self, lease: &Lease<JobId>, task: ExportTask, limits: BatchLimits) -> Result<(), StoreError>;
    /// Ends the job with `Complete` or `Fail`; it is kept for [`BULK_KEPT_MS`].
    async fn finish_export(&self, lease: &Lease<JobId>, event: JobEvent, failure: Option<&str>) -> Result<ExportJob, StoreError>;
    /// Removes the exports and imports whose time is over, and the questions of purges that failed longer ago than [`QUESTION_KEPT_MS`]; returns
    /// how many.
    ///
    /// [`QUESTION_KEPT_MS`]: crate::QUESTION_KEPT_MS
    async fn remove_expired(&self) -> Result<u64, StoreError>;
}
