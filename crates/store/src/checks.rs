//! Port: whether what is stored keeps the invariants.

use async_trait::async_trait;
use lethe_purge::certify::Residue;

use crate::{JobId, StoreError};

/// One thing that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What must hold, as a sentence.
    pub holds: &'static str,
    /// How often it does not; `None` if it cannot be said while a purge is in progress.
    pub violations: Option<u64>,
}

/// Verification of a whole store. Reads everything, changes nothing.
#[async_trait]
pub trait Checks: Send + Sync {
    /// Verifies the invariants; each line of the answer is one that was looked at.
    async fn check(&self) -> Result<Vec<Check>, StoreError>;
    /// Looks into every residence for what a job should have removed, like its own probe did; `None` if there is no such job.
    async fn residue(&self, job_id: JobId) -> Result<Option<Vec<Residue>>, StoreError>;
}
