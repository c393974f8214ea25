//! The rules of durable jobs: states, leases, attempts, pace. Knows no FHIR, no purge, no clock, no storage.

mod attempt;
mod lease;
mod pace;
mod state;

pub use attempt::{AttemptLimits, BatchState, UnknownBatchState};
pub use lease::{Fence, Lease};
pub use pace::{LiveCall, Pace, PaceBounds};
pub use state::{JobEvent, JobState, Refused, UnknownJobState};
