//! Port: the audit trail of purges (INV-5).

use async_trait::async_trait;
use lethe_auth::Scope;
use lethe_fhir::Instant;
use lethe_jobs::JobState;
use lethe_purge::{Counts, Selection, Seq};
use uuid::Uuid;

use crate::{JobId, StoreError};

/// What was asked of one purge and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// Its place in the trail, from 1.
    pub number: u64,
    /// The job.
    pub job_id: JobId,
    /// For whom it ran.
    pub owner: Scope,
    /// Name of the client.
    pub client_name: String,
    /// What was selected, but for conditions, which may quote values of resources.
    pub selection: Selection,
    /// Why, in the words of whoever asked.
    pub reason: Option<String>,
    /// The last version that could be touched.
    pub watermark: Seq,
    /// Kick-off.
    pub opened_on: Instant,
    /// The end; the last one, if the job was retried.
    pub closed: Option<AuditEnd>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditEnd {
    /// When.
    pub closed_on: Instant,
    /// How.
    pub outcome: JobState,
    /// With what.
    pub counts: Counts,
}

/// The audit trail, for the operator of a store.
#[async_trait]
pub trait Audits: Send + Sync {
    /// The trail in order of kick-off, at most `count` records from after number `after`.
    async fn audit_records(&self, after: u64, count: usize) -> Result<Vec<AuditRecord>, StoreError>;
    /// Tells this store from every other; drawn when it was made.
    async fn store_id(&self) -> Result<Uuid, StoreError>;
}
