//! Level `files`: what purges removed is in no file of the database any more.
//!
//! A deleted row stays in its page until the page is written anew, and in the write-ahead log until its files are gone or overwritten. So, when nobody can
//! see what was deleted: write every table into new files (`rewrite.rs`), and let no byte of the log survive that is older (`log.rs`). Why so, and what
//! stays out of reach: docs/adr/0039, docs/erasure.md.

mod log;
mod rewrite;
mod session;
mod successor;
mod views;

use std::{
    fmt,
    time::{Duration, Instant},
};

use lethe_certificate::document::Level;
use lethe_store::StoreError;
use thiserror::Error;

use self::session::Session;
use crate::{address::Address, open::OpenError, transaction::Tx};

const MISSING_RIGHTS: &str = include_str!("../../sql/erase_files/missing_rights.sql");
const SCHEMA_NUMBER: &str = include_str!("../../sql/migrations/schema_number.sql");
const IS_SPREAD: &str = include_str!("../../sql/erase_files/is_spread.sql");
const ENDED_PURGES: &str = include_str!("../../sql/erase_files/ended_purges.sql");
const OWNERLESS_FILES: &str = include_str!("../../sql/erase_files/ownerless_files.sql");
const OUTSIDE: &str = include_str!("../../sql/erase_files/outside.sql");
const TAKE: &str = include_str!("../../sql/erase_files/take.sql");

/// Rest before looking again whether somebody's file has found its owner.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Who is told of each step, in a line for people.
pub type Tell<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// What others have to put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasePatience {
    /// The longest that one call may have to wait for a table. Tables that need longer are left.
    pub wait_max: Duration,
    /// How long to wait for transactions that may still see what was deleted, and for files of the log that something keeps.
    pub others_max: Duration,
}

impl Default for ErasePatience {
    /// Less than the 10 s after which a call gives up waiting for a table; more than the 60 s after which a transaction of a server ends.
    fn default() -> Self {
        Self { wait_max: Duration::from_secs(5), others_max: Duration::from_secs(120) }
    }
}

/// How far it came.
#[derive(Clone, Debug)]
pub struct ErasedFiles {
    /// `files` only if every table was rewritten and nothing older is in the log.
    pub level: Level,
    /// Purges that had ended when it began: what it did, it did for them.
    pub purges: u64,
    /// The number of the last certificate then: it is about those purges up to this one.
    pub certificates_up_to: u64,
    /// Purges in progress then: not covered.
    pub purges_in_progress: u64,
    /// Tables that were written anew now.
    pub rewritten: Vec<RewrittenTable>,
    /// Tables that were found written anew since the last purge ended.
    pub rewritten_before: u64,
    /// Tables that still are as they were.
    pub left: Vec<LeftTable>,
    /// Files of the write-ahead log that were filled anew; nothing was done about the log if tables were left.
    pub log_files: u64,
    /// Why older files of the log are still there.
    pub log_kept_by: Vec<String>,
    /// Files that no table owns, as a crash of PostgreSQL leaves them: what is in them, nobody knows.
    pub ownerless_files: Vec<String>,
    /// Copies that this server knows of and cannot reach.
    pub outside: Vec<String>,
}

/// A table that was written into new files.
#[derive(Clone, Debug)]
pub struct RewrittenTable {
    /// Its name.
    pub table: String,
    /// With indexes and long values.
    pub bytes_before: u64,
    /// The same afterwards.
    pub bytes_after: u64,
    /// So long nobody else could use it, or less.
    pub locked: Duration,
}

/// A table that was not.
#[derive(Clone, Debug)]
pub struct LeftTable {
    /// Its name.
    pub table: String,
    /// With indexes and long values.
    pub bytes: u64,
    /// Why.
    pub because: LeftBecause,
}

/// Why a table was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftBecause {
    /// It may take so long, which is longer than a call may wait: it was not tried.
    TooLarge(Duration),
    /// It was tried, took longer than a call may wait, and was given up.
    TookTooLong,
    /// Others used it whenever it was tried.
    InUse,
    /// Its rows have moved, and somebody may still look for them where they were.
    Seen,
}

impl fmt::Display for LeftBecause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(estimate) => write!(f, "rewriting it may take {} s, longer than a call may wait", estimate.as_secs().max(1)),
            Self::TookTooLong => f.write_str("rewriting it took longer than a call may wait, and was given up"),
            Self::InUse => f.write_str("others used it whenever it was tried"),
            Self::Seen => f.write_str("its rows have moved, and somebody may still look for them where they were"),
        }
    }
}

/// Why nothing was begun, or where it broke off. What was done stays done, and is not done again.
#[derive(Debug, Error)]
pub enum EraseFilesError {
    /// The address of the database cannot be read.
    #[error(transparent)]
    Address(#[from] OpenError),
    /// There are no tables.
    #[error("this database has no store of Lethe: there is nothing to erase")]
    NoStore,
    /// Another is at it.
    #[error("the files of this database are being erased already; nothing was done. Run it again when the other has ended")]
    AtIt,
    /// The database lies on several machines.
    #[error("this database is spread over several machines (citus), whose files cannot be reached from here; nothing was done")]
    Spread,
    /// The role may not do it.
    #[error("the role of this connection lacks rights; nothing was done. A superuser gives them, in this database: {}", .0.join("; "))]
    Rights(Vec<String>),
    /// Somebody may still see what was deleted, so PostgreSQL keeps it.
    #[error("what was deleted is kept for those who may still see it; nothing was done. End them, or wait: {}", .0.join("; "))]
    OlderViews(Vec<String>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes what ended purges removed out of the files of the database at `url`, beside running servers. Begun again after it died in the middle, it goes
/// on where it was. `tell` gets a line for people at each step.
///
/// # Errors
/// [`EraseFilesError`].
pub async fn erase_files(url: &str, patience: ErasePatience, tell: Tell<'_>) -> Result<ErasedFiles, EraseFilesError> {
    erase(&Address::parse(url)?, "", patience, tell).await
}

/// The same, also for the purge of which `also` is a word that no other has, and that has removed everything but has not ended.
pub(crate) async fn erase(address: &Address, also: &str, patience: ErasePatience, tell: Tell<'_>) -> Result<ErasedFiles, EraseFilesError> {
    let session = Session::open(address).await?;
    let schema: Option<String> = session.one(SCHEMA_NUMBER).await?;
    if schema.is_none() {
        return Err(EraseFilesError::NoStore);
    }
    if session.one(IS_SPREAD).await? {
        return Err(EraseFilesError::Spread);
    }
    let missing = session.texts(MISSING_RIGHTS).await?;
    if !missing.is_empty() {
        return Err(EraseFilesError::Rights(missing));
    }
    take(&session, patience.others_max).await?;
    let purges = session.rows(ENDED_PURGES, &[]).await?;
    let purges = purges.first().ok_or_else(|| StoreError::NotUnderstood("no row of a count".to_owned()))?;
    let (ended, in_progress, stamp, certificates): (i64, i64, String, i64) =
        (session::column(purges, 0)?, session::column(purges, 1)?, session::column(purges, 2)?, session::column(purges, 3)?);
    views::wait_for_older(&session, patience.others_max, tell).await?;
    let tables = rewrite::rewrite_tables(&session, patience, &format!("{stamp}{also}"), tell).await?;
    let mut erased = ErasedFiles {
        level: Level::Rows,
        purges: ended.unsigned_abs(),
        certificates_up_to: certificates.unsigned_abs(),
        purges_in_progress: in_progress.unsigned_abs(),
        rewritten: tables.rewritten,
        rewritten_before: tables.rewritten_before,
        left: tables.left,
        log_files: 0,
        log_kept_by: Vec::new(),
        ownerless_files: Vec::new(),
        outside: session.texts(OUTSIDE).await?,
    };
    if erased.left.is_empty() {
        tell("leading the write-ahead log past its old files");
        let log = log::renew(&session, patience.others_max).await?;
        erased.log_files = log.files;
        erased.log_kept_by = log.kept_by;
        erased.ownerless_files = ownerless_files(&session, patience.others_max).await?;
        if erased.log_kept_by.is_empty() && erased.ownerless_files.is_empty() {
            erased.level = Level::Files;
        }
    }
    Ok(erased)
}

/// Why [`erase`] would refuse to begin, as far as that is known long before.
pub(crate) async fn refused(tx: &Tx) -> crate::error::Result<Option<EraseFilesError>> {
    if tx.row(IS_SPREAD, &[]).await?.try_get(0)? {
        return Ok(Some(EraseFilesError::Spread));
    }
    let missing = tx.rows(MISSING_RIGHTS, &[]).await?;
    let missing = missing.iter().map(|row| row.try_get(0)).collect::<std::result::Result<Vec<String>, _>>()?;
    Ok((!missing.is_empty()).then_some(EraseFilesError::Rights(missing)))
}

/// Waits until nobody else is at it.
async fn take(session: &Session, wait_max: Duration) -> Result<(), EraseFilesError> {
    let began = Instant::now();
    while !session.one::<bool>(TAKE).await? {
        if began.elapsed() >= wait_max {
            return Err(EraseFilesError::AtIt);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// Files that no table owns, and that somebody who is just making a table does not explain.
async fn ownerless_files(session: &Session, wait_max: Duration) -> Result<Vec<String>, StoreError> {
    let began = Instant::now();
    let first = session.texts(OWNERLESS_FILES).await?;
    loop {
        let mut still = session.texts(OWNERLESS_FILES).await?;
        still.retain(|file| first.contains(file));
        if still.is_empty() || began.elapsed() >= wait_max {
            return Ok(still);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
