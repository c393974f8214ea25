//! Who may write for a job, and until when.

/// Counts the claims of one job. A write that carries an older fence than the job's changes nothing (INV-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// A worker's right to write for one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease<JobId> {
    /// The job.
    pub job_id: JobId,
    /// The claim under which it is held.
    pub fence: Fence,
}
