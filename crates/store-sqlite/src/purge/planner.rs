//! Where a plan is made: for a job, under its lease, in the store; or only to be looked at, in tables that nobody else sees.

use std::time::{Duration, Instant as Moment};

use lethe_fhir::Instant;
use lethe_jobs::Lease;
use lethe_search::export::ExportQuestion;
use lethe_store::{JobId, StoreError};
use rusqlite::Connection;

use super::{Result, job::JobRow, question};
use crate::{SqliteStore, long_statements, readers::Readers};

/// See the module.
#[derive(Clone, Copy)]
pub(super) enum Planner<'a> {
    /// Each step is a transaction of its own, and whoever reads sees what the others do meanwhile.
    Job(&'a SqliteStore, Lease<JobId>),
    /// All steps see one moment, and what they write goes with them.
    Look(&'a Look),
}

impl Planner<'_> {
    /// The job, with its lease renewed.
    pub(super) async fn job(self) -> Result<JobRow> {
        match self {
            Self::Job(store, lease) => store.renew(lease).await,
            Self::Look(look) => Ok(look.job.clone()),
        }
    }

    /// Which patient or Group is meant, and the conditions.
    pub(super) async fn question(self, job: &JobRow) -> Result<ExportQuestion> {
        let number = job.number;
        match self {
            Self::Job(store, _) => store.connections.read(move |tx| question::read(tx, number)).await,
            Self::Look(look) => Ok(look.question.clone()),
        }
    }

    /// The moment at which the holds that a plan goes by must be in force: one that expires after the kick-off still counts, for the set can
    /// only shrink from then on.
    pub(super) fn held_on(self, job: &JobRow) -> Instant {
        match self {
            Self::Job(store, _) => job.job.created_on.min(store.clock.now()),
            Self::Look(look) => look.job.job.created_on,
        }
    }

    pub(super) async fn read<T: Send + 'static>(
        self,
        work: impl FnOnce(&Connection) -> crate::error::Result<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Self::Job(store, _) => store.read_gently(move |tx| work(tx)).await,
            Self::Look(look) => look.run(move |connection| work(connection)).await,
        }
    }

    pub(super) async fn write<T: Send + 'static>(
        self,
        work: impl FnOnce(&Connection, &JobRow) -> crate::error::Result<T> + Send + 'static,
    ) -> Result<T> {
        match self {
            Self::Job(store, lease) => store.write_under(lease, move |tx, job| work(tx, job)).await,
            Self::Look(look) => {
                let job = look.job.clone();
                look.run(move |connection| work(connection, &job)).await
            }
        }
    }
}

/// A connection of its own with one view of the store, where the tables of a plan are hidden by empty ones.
pub(super) struct Look {
    /// `None` when it ends.
    thread: Option<Readers>,
    job: JobRow,
    question: ExportQuestion,
    deadline: Moment,
    limit: Duration,
}

/// The tables of a plan, as the statements of planning know them. A name without a schema means the temporary table first.
const HIDE_TABLES: [&str; 4] = [
    include_str!("../../sql/preview/hide_purge_batch.sql"),
    include_str!("../../sql/preview/hide_purge_listed.sql"),
    include_str!("../../sql/preview/hide_purge_held.sql"),
    include_str!("../../sql/preview/hide_purge_met_hold.sql"),
];

impl Look {
    /// Begins to look, at what `make` says of this moment. Everything must be done within `limit`.
    pub(super) async fn begin(
        store: &SqliteStore,
        limit: Duration,
        question: ExportQuestion,
        make: impl FnOnce(&Connection) -> crate::error::Result<JobRow> + Send + 'static,
    ) -> Result<Self> {
        let connection = store.connections.open_to_look().map_err(crate::error::store_error)?;
        let thread = Readers::start(vec![connection]);
        let job = thread
            .run(move |connection| -> crate::error::Result<JobRow> {
                for statement in HIDE_TABLES {
                    connection.execute(statement, [])?;
                }
                connection.execute_batch("begin")?;
                make(connection)
            })
            .await??;
        Ok(Self { thread: Some(thread), job, question, deadline: Moment::now() + limit, limit })
    }

    pub(super) fn job(&self) -> &JobRow {
        &self.job
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> crate::error::Result<T> + Send + 'static) -> Result<T> {
        let too_costly = StoreError::TooCostly(self.limit.as_secs());
        let (Some(thread), Some(left)) = (&self.thread, self.deadline.checked_duration_since(Moment::now())) else {
            return Err(too_costly);
        };
        match thread.run(move |connection| long_statements::within(left, || work(connection))).await?.map_err(StoreError::from) {
            Err(StoreError::TooCostly(_)) => Err(too_costly),
            done => done,
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        // Its thread may be in the middle of a statement if nobody waits for the answer any more: not to be waited for here.
        if let Some(thread) = self.thread.take() {
            std::thread::spawn(move || drop(thread));
        }
    }
}
