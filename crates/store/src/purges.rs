//! Ports: purge jobs as their owner sees them ([`Purges`]), and as the worker runs them ([`PurgeWork`]).

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{Instant, LocalBases, ResourceType};
use lethe_jobs::{JobEvent, JobState, Lease, Refused};
use lethe_purge::{
    Counts, Phase, PurgeLevel, Selection, Seq,
    certify::Residue,
    plan::BatchLimits,
    preview::{PreviewCounts, PreviewDigest, Stays},
};
use lethe_search::export::ExportQuestion;
use uuid::Uuid;

use crate::{FAILED_BEFORE, HoldId, JournalMark, RemovedPart, SharedIssuer, StoreError};

/// Id of a purge job.
pub type JobId = Uuid;

/// A kick-off.
#[derive(Clone, Debug)]
pub struct NewPurge {
    /// Its id, freshly generated.
    pub job_id: JobId,
    /// For which account, or for all of a client.
    pub owner: Scope,
    /// What is selected.
    pub selection: Selection,
    /// Which patient or Group, and which conditions, if the selection has any: asked as an export asks. It may name resources and quote their
    /// values, so it is kept apart from the job, and not longer than until the plan is made.
    pub question: ExportQuestion,
    /// Addresses of this server, for references in versions that are looked at.
    pub bases: LocalBases,
    /// Why, in the words of whoever asked.
    pub reason: Option<String>,
    /// What a preview said: start only if it would say so still.
    pub expect: Option<PreviewDigest>,
    /// Whether it is to take what it removes out of the files as well, where a purge does not anyway. Where that cannot be done, it is not started.
    pub erase_files: bool,
    /// The key of the digests of what it deletes: random bytes.
    pub digest_key: [u8; 32],
}

/// What to preview: see [`NewPurge`].
#[derive(Clone, Debug)]
pub struct PreviewQuery {
    /// For which account, or for all of a client.
    pub owner: Scope,
    /// What is selected.
    pub selection: Selection,
    /// Which patient or Group, and which conditions.
    pub question: ExportQuestion,
    /// Addresses of this server.
    pub bases: LocalBases,
}

/// What a purge would do at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Stands for all of it.
    pub digest: PreviewDigest,
    /// By type, in order of type.
    pub counts: Vec<(ResourceType, PreviewCounts)>,
    /// What stays, and why.
    pub stays: Stays,
    /// The holds that keep something, at most [`PurgeJob::HOLDS_MAX`], oldest first.
    pub holds: Vec<HoldId>,
}

/// What came of a kick-off.
#[derive(Clone, Debug)]
pub enum KickOff {
    /// It is stored with its watermark and its audit record.
    Started(Box<PurgeJob>),
    /// One is in progress for the account, its client, or an account of the client. Nothing changed.
    Conflict {
        /// The one in progress.
        running: JobId,
    },
    /// A preview would not say what was expected, but this. Nothing changed.
    Changed {
        /// What it would say.
        digest: PreviewDigest,
    },
    /// It was asked to erase files as well, which it could not. Nothing changed.
    CannotEraseFiles(CannotEraseFiles),
}

/// Why bytes cannot be taken out of files, known before anything is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotEraseFiles {
    /// The role under which the database is used has not the rights.
    Rights,
    /// The database is spread over several machines, whose files are out of reach.
    Spread,
}

/// How long a purge that failed before its plan was made keeps what it was asked for, so that it can be retried: seven days.
pub const QUESTION_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// A purge job as stored at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct PurgeJob {
    /// Its id.
    pub job_id: JobId,
    /// For whom it runs.
    pub owner: Scope,
    /// What is selected.
    pub selection: Selection,
    /// Addresses of this server at the kick-off.
    pub bases: LocalBases,
    /// Why, if said.
    pub reason: Option<String>,
    /// The last version, in the order of commits, that it may touch.
    pub watermark: Seq,
    /// Where it stands.
    pub state: JobState,
    /// How far the walk has come.
    pub phase: Phase,
    /// How often its owner retried it.
    pub retry_count: u32,
    /// Kick-off.
    pub created_on: Instant,
    /// When the plan was sealed; counts and batches mean nothing before.
    pub initialized_on: Option<Instant>,
    /// The last change.
    pub last_updated: Option<Instant>,
    /// When it ended.
    pub completed_on: Option<Instant>,
    /// By type, in order of type.
    pub counts: Vec<(ResourceType, Counts)>,
    /// Batches.
    pub batches: BatchTally,
    /// The holds that kept something from it, at most [`PurgeJob::HOLDS_MAX`], oldest first.
    pub holds: Vec<HoldId>,
    /// The failed batches, at most [`PurgeJob::FAILURES_MAX`].
    pub failures: Vec<BatchFailure>,
    /// Why the job as a whole failed, if no batch did.
    pub failure: Option<String>,
    /// Whether the question that it was asked with is kept: until its plan is sealed; of a job that failed before that, for
    /// [`QUESTION_KEPT_MS`] or until another purge starts that overlaps it.
    pub has_question: bool,
}

impl PurgeJob {
    /// Failures that are told with a job.
    pub const FAILURES_MAX: usize = 20;

    /// Holds that are told with a job.
    pub const HOLDS_MAX: usize = 1_000;

    /// The sum over all types.
    #[must_use]
    pub fn totals(&self) -> Counts {
        self.counts.iter().fold(Counts::default(), |mut sum, (_, counts)| {
            sum += *counts;
            sum
        })
    }

    /// Whether it ended before its plan was made, and what it was asked for is not kept any more: nobody can plan it.
    #[must_use]
    pub fn has_forgotten_question(&self) -> bool {
        let needs_question = self.selection.level != PurgeLevel::System || !self.selection.filtered_types.is_empty();
        self.state.is_ended() && self.initialized_on.is_none() && needs_question && !self.has_question
    }

    /// Whether it failed, and has been carried out again from its record since: what it had left is not known.
    #[must_use]
    pub fn is_carried_out_again(&self) -> bool {
        self.state == JobState::Failed && self.failure.as_deref() == Some(FAILED_BEFORE)
    }
}

/// Numbers of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchTally {
    /// In the plan.
    pub total: u64,
    /// Whose outcome is committed.
    pub completed: u64,
    /// Out of attempts.
    pub failed: u64,
}

/// A batch that is out of attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchFailure {
    /// Its number within the job, from 1.
    pub batch: u64,
    /// The type of its resources.
    pub resource_type: ResourceType,
    /// How often it was tried since the last retry.
    pub attempts: u32,
    /// What went wrong the last time.
    pub cause: String,
}

/// What came of a cancel or retry.
#[derive(Clone, Debug)]
pub enum CanceledOrRetried {
    /// The event was taken; the job as it is now.
    Taken(Box<PurgeJob>),
    /// The event does not apply in the job's state; nothing changed.
    Refused(Refused),
    /// A retry while another job is in progress for the account or its client; nothing changed.
    Conflict {
        /// The one in progress.
        running: JobId,
    },
    /// There is no such job for this owner.
    Unknown,
}

/// Purge jobs, as their owner sees them. A job is visible to its account, and to its client's `client` scope; that of a whole client, which
/// tells of all its accounts, only to the latter.
#[async_trait]
pub trait Purges: Send + Sync {
    /// Starts a job: takes the writers' lock, checks that none is in progress for the account or its client, reads the watermark, stores
    /// the job and opens its audit record (INV-5), in one short transaction whose cost does not depend on what is stored. With an
    /// expectation it previews first, and that transaction starts nothing if anything has changed since.
    async fn kick_off(&self, purge: &NewPurge) -> Result<KickOff, StoreError>;
    /// What a purge would do at this moment. Stores nothing.
    ///
    /// # Errors
    /// [`StoreError::TooCostly`] if it takes too long.
    async fn preview(&self, query: &PreviewQuery) -> Result<Preview, StoreError>;
    /// The members of the Group of a question that are no patients here at this moment, in words; first, if so, that all are none. Stores nothing.
    async fn unresolved_members(&self, query: &PreviewQuery) -> Result<Vec<String>, StoreError>;
    /// One job.
    async fn purge_job(&self, owner: &Scope, job_id: JobId) -> Result<Option<PurgeJob>, StoreError>;
    /// Jobs, newest first, at most `count`, older than `before` if given.
    async fn purge_jobs(&self, owner: &Scope, before: Option<JobId>, count: usize) -> Result<Vec<PurgeJob>, StoreError>;
    /// Asks a job to stop. What is running finishes its batch first: see [`PurgeJob::state`].
    async fn cancel_purge(&self, owner: &Scope, job_id: JobId) -> Result<CanceledOrRetried, StoreError>;
    /// Puts a failed job back in line; exactly its failed batches run again, with their attempts counted anew. The watermark stays. One that
    /// failed before its plan was made is planned anew; if its question has been forgotten meanwhile, it fails again.
    async fn retry_purge(&self, owner: &Scope, job_id: JobId) -> Result<CanceledOrRetried, StoreError>;
}

/// A job that a worker has claimed.
#[derive(Clone, Debug)]
pub struct ClaimedPurge {
    /// The right to write for it.
    pub lease: Lease<JobId>,
    /// The job.
    pub job: PurgeJob,
}

/// A batch that a worker has claimed. Under one fence of its job no attempt has the number of another that may still write: so it is the batch's own
/// fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimedBatch {
    /// Its number within the job, from 1.
    pub batch: u64,
    /// Attempts, this one included.
    pub attempts: u32,
}

/// What the worker is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextBatch {
    /// Run this one: its attempt is counted (INV-6).
    Run(ClaimedBatch),
    /// Every batch that is left backs off; none before this time.
    WaitUntil(Instant),
    /// All targets have their outcome: look at the companions once more, then ask again.
    PrepareCompanions,
    /// Every batch has its outcome.
    Drained,
    /// Somebody asked to cancel: run nothing more.
    Canceled,
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Resources removed, with all their versions.
    pub deleted: u64,
    /// Resources left alone, because they were changed since or are needed.
    pub spared: u64,
    /// Resources left alone because of a hold.
    pub held: u64,
}

/// How a job ends, as far as its worker knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeEnd {
    /// `Complete`, `Fail` or `Stop`.
    pub event: JobEvent,
    /// Why it failed as a whole.
    pub failure: Option<String>,
    /// Whether what was removed has been swept and erased.
    pub is_settled: bool,
    /// What the probe found; `None` if it did not run.
    pub probe: Option<Vec<Residue>>,
}

impl PurgeEnd {
    /// An end after which nobody looked.
    #[must_use]
    pub fn without_probe(event: JobEvent, failure: Option<&str>, is_settled: bool) -> Self {
        Self { event, failure: failure.map(str::to_owned), is_settled, probe: None }
    }
}

/// One account and type that lost resources and whose index rows are to be swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepTask {
    /// The account.
    pub account_id: AccountId,
    /// The type.
    pub resource_type: ResourceType,
}

/// The steps of one purge, as the worker runs them. Each renews the lease, but those of a batch, which has a lease of its own where there are
/// several workers; each fails with [`StoreError::LeaseLost`], having written nothing, when another worker has claimed the job since, or the batch
/// (INV-3). Each may be run again after a crash.
#[async_trait]
pub trait PurgeWork: Send + Sync {
    /// Ends every lease at once: for a server that owns its database alone and has just started, so that nobody else can hold one.
    async fn release_leases(&self) -> Result<(), StoreError>;
    /// Claims the oldest job that waits or whose lease has ended.
    async fn claim_purge(&self) -> Result<Option<ClaimedPurge>, StoreError>;

    /// Gives the lease back, so that another worker can have the job at once. Nothing where there is one worker.
    async fn give_back_purge(&self, _lease: &Lease<JobId>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Throws away an unfinished plan and returns the accounts to plan for. A sealed plan stays, and there is none to plan for.
    async fn begin_plan(&self, lease: &Lease<JobId>) -> Result<Vec<AccountId>, StoreError>;
    /// Stores the batches of one account's targets, in order of type and commit. Which they are depends on the selection, the watermark
    /// and what is stored, and not on when this runs (INV-7): what was changed since kick-off is counted, and will be spared. What is on hold
    /// is counted, too, and will stay even if the hold is lifted meanwhile.
    async fn plan_targets(&self, lease: &Lease<JobId>, account_id: AccountId, limits: BatchLimits) -> Result<(), StoreError>;
    /// Stores the list and the batches of the Provenance and Binary that go along.
    async fn plan_companions(&self, lease: &Lease<JobId>, account_id: AccountId, limits: BatchLimits) -> Result<(), StoreError>;
    /// Seals the plan: from now on the job has counts, and batches run.
    async fn seal_plan(&self, lease: &Lease<JobId>) -> Result<(), StoreError>;

    /// Claims the next batch: targets first, companions after the last of them is done.
    async fn claim_batch(&self, lease: &Lease<JobId>) -> Result<NextBatch, StoreError>;
    /// Claims a batch of a job that another worker has, to share its work: with that worker's lease, under which only the batch may be run. `None`:
    /// there is none, as always where there is one worker.
    async fn claim_shared_batch(&self) -> Result<Option<(Lease<JobId>, ClaimedBatch)>, StoreError> {
        Ok(None)
    }
    /// Takes back the batches that others have claimed: when this returns, none is running, none of those can be run under its old claim, and nobody
    /// claims another. A job that executes is at [`Phase::Settle`] then: all that is left to do with it is to end it.
    async fn withdraw_batches(&self, _lease: &Lease<JobId>) -> Result<(), StoreError> {
        Ok(())
    }
    /// Strikes off the companions that something remaining needs, now that all targets have their outcome.
    async fn prepare_companions(&self, lease: &Lease<JobId>) -> Result<(), StoreError>;
    /// Removes every stored version of one batch, re-checking INV-1 in the deleting statement and the holds of this moment before it, and
    /// commits rows, counters and outcome in one transaction (INV-2).
    ///
    /// # Errors
    /// Nothing was written; the caller records it with [`PurgeWork::fail_batch`].
    async fn purge_batch(&self, lease: &Lease<JobId>, batch: ClaimedBatch) -> Result<BatchOutcome, StoreError>;
    /// Records that an attempt failed: the batch waits until `retry_at`, or has failed if that is `None`.
    async fn fail_batch(&self, lease: &Lease<JobId>, batch: ClaimedBatch, cause: &str, retry_at: Option<Instant>)
    -> Result<(), StoreError>;
    /// Puts a batch back in line whose attempt came to nothing because the database was out of reach; a store for which that can happen does not count
    /// the attempt.
    async fn give_back_batch(&self, lease: &Lease<JobId>, batch: ClaimedBatch) -> Result<(), StoreError> {
        self.fail_batch(lease, batch, "the database was out of reach", Some(Instant::from_unix_ms(0))).await
    }

    /// Enters the next phase.
    async fn enter_phase(&self, lease: &Lease<JobId>, phase: Phase) -> Result<(), StoreError>;
    /// What is to be swept: every account and type that lost resources.
    async fn sweep_tasks(&self, lease: &Lease<JobId>) -> Result<Vec<SweepTask>, StoreError>;
    /// Removes the index rows of what is gone, in steps that keep nobody waiting; returns the rows removed.
    async fn sweep(&self, lease: &Lease<JobId>, task: SweepTask) -> Result<u64, StoreError>;
    /// Overwrites freed bytes and gives free space back, in steps. Waits, and may fail as unavailable, while a long read pins old pages.
    async fn erase(&self, lease: &Lease<JobId>) -> Result<(), StoreError>;
    /// Looks into every residence for rows of what was purged.
    async fn probe(&self, lease: &Lease<JobId>) -> Result<Vec<Residue>, StoreError>;
    /// What the job removed and is not on record yet: some parts behind number `after`, in order; empty if there are no more.
    async fn removed_parts(&self, job_id: JobId, after: u64) -> Result<Vec<RemovedPart>, StoreError>;
    /// Forgets the parts of the job: they are on record, up to `mark`, or nobody keeps a record.
    async fn forget_parts(&self, lease: &Lease<JobId>, mark: Option<JournalMark>) -> Result<(), StoreError>;
    /// Ends the job, closes its audit record (INV-5) and stores its certificate, in one transaction: an end that can be read has its certificate.
    async fn finish_purge(&self, lease: &Lease<JobId>, end: &PurgeEnd, issuer: &SharedIssuer) -> Result<PurgeJob, StoreError>;
}
