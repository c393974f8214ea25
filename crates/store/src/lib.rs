//! The ports: what the server needs of a database, by caller. Adapters implement them; `lethe-store-suite` holds each to the same behaviour.
//!
//! No SQL, no HTTP. Times come from the [`Clock`] that an adapter is opened with, so that tests can move it.

mod accounts;
mod audits;
mod certificates;
mod checks;
mod clock;
mod error;
mod exports;
mod holds;
mod imports;
mod moving;
mod purges;
mod recovery;
mod resources;
mod searches;

pub mod residence;

pub use accounts::{Accounts, AddedUser, IssuedTokens, KeyedHash, NewClient, RefreshUse, StoredToken, UserFilter};
pub use audits::{AuditEnd, AuditRecord, Audits};
pub use certificates::{Certificates, Deletion, Forgotten, IssueError, Issuer, SharedIssuer, StoredCertificate};
pub use checks::{Check, Checks};
pub use clock::{Clock, SystemClock};
pub use error::StoreError;
pub use exports::{
    BULK_KEPT_MS, ClaimedExport, EXPORTS_KEPT_MAX, ExportFile, ExportFileKind, ExportJob, ExportKickOff, ExportPage, ExportSelection,
    ExportTask, ExportWork, Exports, NewExport,
};
pub use holds::{HOLDS_IN_FORCE_MAX, Hold, HoldAdded, HoldFilter, HoldId, HoldLifted, Holds, NewHold, hold_warning};
pub use imports::{ImportBatch, ImportCanceled, ImportJob, ImportProgress, ImportStart, Imports, NewImport};
pub use moving::{StoredRow, StoredValue};
pub use purges::{
    BatchFailure, BatchOutcome, BatchTally, CanceledOrRetried, CannotEraseFiles, ClaimedBatch, ClaimedPurge, JobId, KickOff, NewPurge,
    NextBatch, Preview, PreviewQuery, PurgeEnd, PurgeJob, PurgeWork, Purges, QUESTION_KEPT_MS, SweepTask,
};
pub use recovery::{CANCELED_BEFORE, FAILED_BEFORE, JournalMark, Lineage, PurgeJournal, RecordedPurge, Recovery, RemovedPart, Still};
pub use resources::{
    Change, ChangeKind, Expect, HistoryPage, HistoryQuery, HistoryScope, ListQuery, PageKey, Resources, StoredVersion, Write, WriteError,
    WriteOutcome,
};
pub use searches::{Guard, ReadTargets, SearchPage, SearchPlace, SearchQuery, Searches};

/// Every port of one database.
pub trait Store:
    Accounts + Resources + Searches + Purges + PurgeWork + Certificates + Audits + Holds + Exports + ExportWork + Imports + Checks
{
}

impl<T: Accounts + Resources + Searches + Purges + PurgeWork + Certificates + Audits + Holds + Exports + ExportWork + Imports + Checks>
    Store for T
{
}
