//! Ports: what purges removed, kept outside of the database ([`PurgeJournal`]), and taken out of an older copy again ([`Recovery`]).

use async_trait::async_trait;
use lethe_auth::{AccountId, Scope};
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::JobEvent;
use lethe_purge::{Selection, Seq, SeqSet};
use uuid::Uuid;

use crate::{JobId, PurgeJob, PurgeWork, SharedIssuer, StoreError};

/// How far a journal goes: its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalMark {
    /// Its number, from 1.
    pub record: u64,
    /// Its hash, which covers every record before it.
    pub hash: [u8; 32],
}

/// Which store a database is, and which of its histories.
///
/// A database that is put back is written to anew from an earlier place on, and the places that follow are given out once more. So each start of
/// a server begins a line of its own, and a place is told apart by the line on which it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The store: the same for all copies.
    pub store_id: Uuid,
    /// The line on which it is written to; `None` before the first server.
    pub line: Option<Uuid>,
    /// What it knows of its journal; `None` before the first server.
    pub mark: Option<JournalMark>,
    /// The last place that was given out.
    pub last_seq: Seq,
}

/// Versions of one account and type that a purge removed. Of a resource always all of its versions are among a job's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedPart {
    /// Its number within the job, ascending.
    pub part: u64,
    /// The account.
    pub account_id: AccountId,
    /// The type.
    pub resource_type: ResourceType,
    /// Their places.
    pub seqs: SeqSet,
}

impl RemovedPart {
    /// Places in one part, at most.
    pub const PLACES_MAX: usize = 20_000;
}

/// The record outside of the database of what purges removed. It holds places and no ids, no content, and no words of callers.
#[async_trait]
pub trait PurgeJournal: Send + Sync {
    /// Puts on record what a job, which ends with `event`, has removed since it was recorded last. Once is enough: the same again adds nothing.
    ///
    /// # Errors
    /// It is not on the disk.
    async fn record(&self, work: &dyn PurgeWork, job: &PurgeJob, event: JobEvent) -> Result<JournalMark, StoreError>;
}

/// A purge as a journal tells of it, to be carried out again.
#[derive(Clone, Debug)]
pub struct RecordedPurge {
    /// Its id.
    pub job_id: JobId,
    /// For whom it ran.
    pub owner: Scope,
    /// Types, date and deletions as asked for. What was removed is in the parts.
    pub selection: Selection,
    /// Its kick-off.
    pub created_on: Instant,
    /// Salts the digests of what goes, fresh and random.
    pub digest_key: [u8; 32],
}

/// Why a job has failed that had failed before, and was carried out again from its record.
pub const FAILED_BEFORE: &str = "what this purge had removed was removed again after a restore; it had failed before, and what it left is not in the \
                                 purge journal: start a new purge";
/// As [`FAILED_BEFORE`], of one that had been canceled.
pub const CANCELED_BEFORE: &str = "what this purge had removed was removed again after a restore; it had been canceled before";

/// A database in which nobody gives out places: the last one is known, and no copy of it has a later one.
#[async_trait]
pub trait Still: Send {
    /// As [`Recovery::lineage`].
    async fn lineage(&self) -> Result<Lineage, StoreError>;
    /// Begins a line that the journal has on record; then others go on.
    async fn begin_line(self: Box<Self>, line: Uuid, mark: JournalMark) -> Result<(), StoreError>;
}

/// What the keeper of a journal, and whoever puts an older copy back, asks of a database. Whoever puts a copy back has it to himself.
#[async_trait]
pub trait Recovery: Send + Sync {
    /// Which store it is, and what it knows of its journal.
    async fn lineage(&self) -> Result<Lineage, StoreError>;
    /// Keeps everybody from giving out places until what it returns has begun a line, or is dropped.
    async fn still(&self) -> Result<Box<dyn Still + '_>, StoreError>;
    /// The journal has been read up to here.
    async fn set_mark(&self, mark: JournalMark) -> Result<(), StoreError>;

    /// There is no journal any more, and the next is a new one. Copies that were made before cannot be put back with it.
    async fn forget_journal(&self) -> Result<(), StoreError>;

    /// Jobs that have ended with parts that are not on record.
    async fn unrecorded(&self) -> Result<Vec<PurgeJob>, StoreError>;
    /// The parts of an ended job are on record.
    async fn forget_recorded(&self, job_id: JobId, mark: JournalMark) -> Result<(), StoreError>;

    /// Whether a job is stored here and has not ended.
    async fn is_in_progress(&self, job_id: JobId) -> Result<bool, StoreError>;
    /// How many resources have their current version among these places.
    async fn count_current(&self, part: &RemovedPart) -> Result<u64, StoreError>;

    /// Ends every purge in progress: as failed, or as canceled if that was asked for; returns them as they are then.
    async fn fail_in_progress(&self, why: &str, issuer: &SharedIssuer) -> Result<Vec<PurgeJob>, StoreError>;
    /// Makes the job of a recorded purge, or puts that which is stored back in line. It has a plan without batches, or with those that are done.
    async fn adopt(&self, purge: &RecordedPurge) -> Result<(), StoreError>;
    /// Adds a part to the plan of an adopted job; returns how many resources are to go.
    async fn adopt_part(&self, job_id: JobId, part: &RemovedPart) -> Result<u64, StoreError>;
    /// Seals the plan of an adopted job: a worker may take it up.
    async fn seal_adopted(&self, job_id: JobId) -> Result<(), StoreError>;
}
