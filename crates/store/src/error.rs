//! What can go wrong in any port.

use lethe_fhir::ResourceType;
use lethe_purge::Seq;
use thiserror::Error;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A port could not do what was asked. Nothing of it was written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database is busy. May be retried.
    #[error("the database is not available at the moment")]
    Unavailable(#[source] Source),
    /// The database is out of reach: it restarts, fails over, or takes no connection. May be retried, for as long as that lasts.
    #[error("the database is out of reach at the moment")]
    OutOfReach(#[source] Source),
    /// The database refuses to work: no space, an I/O error, a damaged file. Retrying helps only after somebody has acted.
    #[error("the database failed: {0}")]
    Failed(#[source] Source),
    /// A search would take longer than so many seconds. Asking for less helps; asking again does not.
    #[error("the search takes longer than {0} s")]
    TooCostly(u64),
    /// Another worker owns the job by now, or it has ended (INV-3). Stop.
    #[error("the lease on the job is lost")]
    LeaseLost,
    /// The content of one version cannot be read any more. Its head can, and it can be purged by that.
    #[error("the stored content of one {resource_type} is damaged (place {}: {fault}): restore the database from a backup, then try again", seq.0)]
    Damaged {
        /// Its type.
        resource_type: ResourceType,
        /// Its place, which names nobody.
        seq: Seq,
        /// What is wrong; never content.
        fault: &'static str,
    },
    /// Something stored is not known to this version (INV-9).
    #[error("the database holds something that this version does not understand: {0}")]
    NotUnderstood(String),
}
