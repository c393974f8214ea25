//! Where a plan is made: for a job, under its lease, in the store; or only to be looked at, in tables that nobody else sees.

use std::{
    future::Future,
    time::{Duration, Instant as Moment},
};

use lethe_fhir::Instant;
use lethe_jobs::Lease;
use lethe_search::export::ExportQuestion;
use lethe_store::{JobId, StoreError};

use super::{Result, job::JobRow, question};
use crate::{PostgresStore, transaction::Tx};

/// See the module.
#[derive(Clone, Copy)]
pub(super) enum Planner<'a> {
    /// Each step is a transaction of its own, and whoever reads sees what the others do meanwhile.
    Job(&'a PostgresStore, Lease<JobId>),
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
        match self {
            Self::Job(store, _) => store.work.read(|tx| async move { question::read(&tx, job.number).await }).await,
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

    pub(super) async fn read<T, F, Done>(self, work: F) -> Result<T>
    where
        F: FnOnce(Tx) -> Done,
        Done: Future<Output = crate::error::Result<T>>,
    {
        match self {
            Self::Job(store, _) => store.read_gently(work).await,
            Self::Look(look) => look.run(work).await,
        }
    }

    pub(super) async fn write<T, F, Done>(self, work: F) -> Result<T>
    where
        F: Fn(Tx, JobRow) -> Done,
        Done: Future<Output = crate::error::Result<T>>,
    {
        match self {
            Self::Job(store, lease) => store.write_under(lease, work).await,
            Self::Look(look) => look.run(|tx| work(tx, look.job.clone())).await,
        }
    }
}

/// A connection of its own with one view of the store, where the tables of a plan are hidden by empty ones. Its transaction is never ended: with it
/// goes the connection, and with that what was written.
pub(super) struct Look {
    tx: Tx,
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
    pub(super) async fn begin<F, Done>(store: &PostgresStore, limit: Duration, question: ExportQuestion, make: F) -> Result<Self>
    where
        F: FnOnce(Tx) -> Done,
        Done: Future<Output = crate::error::Result<JobRow>>,
    {
        let tx = store.connections.begin_to_look().await?;
        for statement in HIDE_TABLES {
            tx.run(statement).await?;
        }
        let job = make(tx.clone()).await?;
        Ok(Self { tx, job, question, deadline: Moment::now() + limit, limit })
    }

    pub(super) fn job(&self) -> &JobRow {
        &self.job
    }

    async fn run<T, F, Done>(&self, work: F) -> Result<T>
    where
        F: FnOnce(Tx) -> Done,
        Done: Future<Output = crate::error::Result<T>>,
    {
        let left = self.deadline.saturating_duration_since(Moment::now());
        let done = tokio::time::timeout(left, work(self.tx.clone())).await;
        Ok(done.map_err(|_| StoreError::TooCostly(self.limit.as_secs()))??)
    }
}
