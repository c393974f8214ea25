//! A database and its journal, brought together: before a server answers, and when an older copy has been put back.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use lethe_jobs::{JobEvent, JobState};
use lethe_purge::Seq;
use lethe_store::{Clock, Lineage, PurgeJob, PurgeJournal, Recovery, RemovedPart, SharedIssuer};
use lethe_worker::{Worker, WorkerOptions};
use tokio::sync::watch;

use crate::{
    failure::Advice,
    journal::{JournalError, JournalKeeper, RecordedEnd, Scan, Writers, parts_of, scan},
    open_store::AnyStore,
    secret_key::random_bytes,
};

/// Name of the journal in the data directory.
const JOURNAL_FILE: &str = "purge.journal";
/// Why a job failed that was in progress in a copy.
const WAS_COPIED: &str = "the store was put back from a copy that was made while this purge was in progress";

/// Where the purge journal is.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct JournalOptions {
    /// The purge journal; another disk than that of the data is best [default: purge.journal in the data directory]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

impl JournalOptions {
    /// The path of the journal of a store.
    pub(crate) fn path(&self, data: &Path) -> PathBuf {
        self.journal.clone().unwrap_or_else(|| data.join(JOURNAL_FILE))
    }
}

/// Opens the journal of a store that is about to be served, and begins a line.
///
/// # Errors
/// The journal is damaged, or another's, or tells of purges that this database does not know: then it is an older copy.
pub(crate) async fn open_journal(
    store: &Arc<dyn AnyStore>,
    clock: Arc<dyn Clock>,
    path: &Path,
    writers: Writers,
    flag: &str,
) -> Result<Arc<JournalKeeper>> {
    refuse_older(store.as_ref(), path, flag).await?;
    let recovery = Arc::clone(store) as Arc<dyn Recovery>;
    let keeper = JournalKeeper::open(path, recovery, clock, writers).await.map_err(|error| advise(error, flag))?;
    for job in store.unrecorded().await? {
        let event = match job.state {
            JobState::Successful => JobEvent::Complete,
            JobState::Canceled => JobEvent::Stop,
            JobState::Failed | JobState::Queued | JobState::Running | JobState::Canceling => JobEvent::Fail,
        };
        let mark = keeper.record(store.as_ref(), &job, event).await?;
        store.forget_recorded(job.job_id, mark).await?;
    }
    keeper.begin_line().await.map_err(|error| match error.downcast() {
        Ok(error) => advise(error, flag),
        Err(error) => error,
    })?;
    Ok(Arc::new(keeper))
}

/// Refuses a database that is older than its journal: it may hold what purges on record removed.
///
/// # Errors
/// It is; or the journal is damaged, or another's.
pub(crate) async fn refuse_older(store: &dyn AnyStore, path: &Path, flag: &str) -> Result<()> {
    let mut lineage = store.lineage().await?;
    loop {
        let older = older(store, path, &lineage, flag).await?;
        let Some(last) = older.last() else { return Ok(()) };
        let known = store.lineage().await?;
        if known.mark != lineage.mark {
            // Another server has ended a purge meanwhile: it was on record before the database knew it.
            lineage = known;
            continue;
        }
        bail!(Advice::new(
            format!(
                "this database is older than its purge journal {}: {} of the purges on record are unknown to it, the last one of {} (job {}), so \
                 that it may hold what they removed",
                path.display(),
                older.len(),
                last.end.on,
                last.end.job
            ),
            format!("lethe restore --reapply{flag} applies them; then start the server"),
        ));
    }
}

/// The purges on record that the database should know and does not.
async fn older(store: &dyn AnyStore, path: &Path, lineage: &Lineage, flag: &str) -> Result<Vec<RecordedEnd>> {
    let mut scanned = read(path, lineage, flag)?.unwrap_or_default();
    let unknown = std::mem::take(&mut scanned.unknown);
    let mut older = Vec::new();
    for recorded in unknown {
        // If the server died between the journal and the database, the job is still there, and what it removed is not.
        if !store.is_in_progress(recorded.end.job).await? || count_current(store, path, &scanned, lineage, &recorded).await? > 0 {
            older.push(recorded);
        }
    }
    Ok(older)
}

/// A purge on record that was carried out in a copy.
pub(crate) struct Applied {
    pub(crate) recorded: RecordedEnd,
    /// Resources of the copy that went.
    pub(crate) resources: u64,
}

/// What was done with a copy.
pub(crate) struct Recovered {
    pub(crate) applied: Vec<Applied>,
    /// Purges that were in progress in the copy, and of which nothing is on record: how they ended is not known, and here they have ended now.
    pub(crate) ended: Vec<PurgeJob>,
}

/// Applies to a database every purge on record that it does not know.
///
/// # Errors
/// The journal cannot be used with it, or a purge could not be applied: then the database must not be served.
pub(crate) async fn apply_younger(
    store: &Arc<dyn AnyStore>,
    clock: &Arc<dyn Clock>,
    issuer: &SharedIssuer,
    path: &Path,
    flag: &str,
) -> Result<Recovered> {
    let lineage = store.lineage().await?;
    let scanned = read(path, &lineage, flag)?.unwrap_or_default();
    let mut ended = store.fail_in_progress(WAS_COPIED, issuer).await?;
    let mut applied = Vec::new();
    for recorded in &scanned.unknown {
        let resources = apply(&Copy { store, clock, issuer, path, scanned: &scanned, lineage: &lineage }, recorded)
            .await
            .with_context(|| format!("purge {} of {} could not be applied to the copy", recorded.end.job, recorded.end.on))?;
        store.set_mark(recorded.mark).await?;
        applied.push(Applied { recorded: recorded.clone(), resources });
    }
    ended.retain(|job| applied.iter().all(|applied| applied.recorded.end.job != job.job_id));
    Ok(Recovered { applied, ended })
}

/// A copy, and what brings it up to its journal.
struct Copy<'a> {
    store: &'a Arc<dyn AnyStore>,
    clock: &'a Arc<dyn Clock>,
    issuer: &'a SharedIssuer,
    path: &'a Path,
    scanned: &'a Scan,
    lineage: &'a Lineage,
}

async fn apply(copy: &Copy<'_>, recorded: &RecordedEnd) -> Result<u64> {
    let Copy { store, clock, issuer, path, scanned, lineage } = *copy;
    let purge = recorded.end.recorded(random_bytes()?);
    let (event, state) =
        recorded.end.ended().with_context(|| format!("its outcome '{}' is none that this version knows", recorded.end.outcome))?;
    let shared = shared(scanned, lineage, recorded);
    let mut resources = 0;
    store.adopt(&purge).await?;
    for part in parts_of(path, recorded)? {
        resources += store.adopt_part(purge.job_id, &up_to(part?, shared)).await?;
    }
    store.seal_adopted(purge.job_id).await?;
    // It keeps no journal: what it removes is on record.
    let worker = Worker::new(Arc::clone(store) as _, Arc::clone(clock), Arc::clone(issuer), WorkerOptions::default()).ending_again(event);
    let (_stopping, stop) = watch::channel(false);
    worker.run_one(&stop).await?;
    match store.purge_job(&purge.owner, purge.job_id).await? {
        Some(job) if job.state == state && job.counts.iter().all(|(_, counts)| counts.failed == 0) => Ok(resources),
        Some(job) => bail!("it ended as {}: {}", job.state.status(), job.failure.unwrap_or_default()),
        None => bail!("its job is not stored"),
    }
}

/// How many resources of a purge on record are still there.
async fn count_current(store: &dyn AnyStore, path: &Path, scanned: &Scan, lineage: &Lineage, recorded: &RecordedEnd) -> Result<u64> {
    let shared = shared(scanned, lineage, recorded);
    let mut current = 0;
    for part in parts_of(path, recorded)? {
        current += store.count_current(&up_to(part?, shared)).await?;
    }
    Ok(current)
}

/// The last place that means the same to the database and to a purge on record.
fn shared(scanned: &Scan, lineage: &Lineage, recorded: &RecordedEnd) -> Seq {
    scanned.lines.shared(lineage.line, lineage.last_seq, recorded.end.line)
}

fn up_to(part: RemovedPart, limit: Seq) -> RemovedPart {
    RemovedPart { seqs: part.seqs.up_to(limit), ..part }
}

/// Whether the journal has everything that a database knows of it.
///
/// # Errors
/// It has not.
pub(crate) fn check_journal(lineage: &Lineage, path: &Path, flag: &str) -> Result<()> {
    read(path, lineage, flag).map(drop)
}

/// Reads the journal of a database; `None` if neither knows the other.
fn read(path: &Path, lineage: &Lineage, flag: &str) -> Result<Option<Scan>> {
    match scan(path, lineage) {
        Ok(None) if lineage.mark.is_some() => Err(advise(JournalError::Missing(path.to_owned()), flag)),
        scanned => scanned.map_err(|error| advise(error, flag)),
    }
}

fn advise(error: JournalError, flag: &str) -> anyhow::Error {
    let next = match &error {
        JournalError::InUse(_) => "stop the other server, or name another journal with --journal".to_owned(),
        JournalError::File { .. } => "choose a file that this user may write, with --journal".to_owned(),
        JournalError::Missing(_) | JournalError::Damaged { .. } | JournalError::CutOff { .. } | JournalError::Foreign { .. } => format!(
            "put the right journal there, mount its disk, or name it with --journal. If it is lost: lethe restore --reapply --new-journal{flag} begins \
             another, and what was purged after this database was copied stays in it"
        ),
    };
    let what = match &error {
        JournalError::InUse(_) | JournalError::File { .. } => "the purge journal cannot be opened",
        _ => "without its purge journal nobody can tell what this database must not hold any more",
    };
    anyhow::Error::from(error).context(Advice::new(what, next))
}

#[cfg(test)]
pub(crate) mod tests;
