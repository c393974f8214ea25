//! The rules of durable jobs: states, leases, attempts. Knows no FHIR, no purge, no clock, no storage.

mod attempt;
mod lease;
mod state;

pub use attempt::{AttemptLimits, BatchState, UnknownBatchState};
pub use lease::{Fence, Lease};
pub use state::{JobEvent, JobState, Refused, UnknownJobState};
