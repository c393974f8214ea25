//! What a purge would do, found by planning it where nobody sees; and whether anything has changed since.

use std::{collections::BTreeMap, time::Duration};

use lethe_auth::{AccountId, Scope};
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::JobState;
use lethe_purge::{
    Phase, Seq,
    plan::BatchLimits,
    preview::{PreviewCounts, PreviewHasher, Stays},
};
use lethe_store::{BatchTally, JobId, Preview, PreviewQuery, PurgeJob, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Result, companions,
    job::{JobRow, met_holds},
    kick_off::SELECT_WATERMARK,
    list_targets,
    listed::Role,
    plan::{self, BatchKind},
    planner::{Look, Planner},
};
use crate::{
    SqliteStore,
    columns::{InstantColumn, SeqColumn, TypeColumn},
    resources::{ACCOUNT_FIRST, accounts_of, types_of},
};

const SELECT_NEXT_BATCH: &str = include_str!("../../sql/preview/batches.sql");
const SELECT_LAST_SEQ: &str = include_str!("../../sql/preview/last_seq_of_type.sql");
const SELECT_HOLDS_STAMP: &str = include_str!("../../sql/preview/holds_stamp.sql");
const SELECT_LAST_JOB: &str = include_str!("../../sql/preview/last_job.sql");
const SELECT_GOING_TARGETS: &str = include_str!("../../sql/preview/going_targets.sql");
const COUNT_VERSIONS_OF_TARGETS: &str = include_str!("../../sql/preview/versions_of_going_targets.sql");
const SELECT_GOING_LISTED: &str = include_str!("../../sql/preview/going_listed.sql");
const COUNT_VERSIONS_OF_LISTED: &str = include_str!("../../sql/preview/versions_of_going_listed.sql");
const COUNT_STAYING: &str = include_str!("../../sql/preview/count_staying.sql");

/// How long a preview may take: as long as it looks, old pages cannot leave the write-ahead log.
const LIMIT: Duration = Duration::from_secs(60);

/// The number of the job that a preview plans for. No job has it.
const NO_JOB: i64 = 0;

/// Everything that what a purge removes depends on, in a few numbers: as long as they stay, so does that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// By account: the last version, the last hold, and how many are in force.
    accounts: Vec<(AccountId, Seq, i64, i64)>,
    /// The last purge of the client.
    last_job: i64,
}

impl Stamp {
    /// As it is on this connection.
    pub(super) fn of(connection: &Connection, owner: &Scope, now: Instant) -> crate::error::Result<Self> {
        let mut accounts = Vec::new();
        for account_id in accounts_of(connection, owner, ACCOUNT_FIRST)? {
            let mut last = Seq(0);
            for resource_type in types_of(connection, account_id)? {
                let SeqColumn(seq) = connection
                    .prepare_cached(SELECT_LAST_SEQ)?
                    .query_row(params![account_id.0, TypeColumn(resource_type)], |row| row.get(0))?;
                last = last.max(seq);
            }
            let (last_hold, in_force) = connection
                .prepare_cached(SELECT_HOLDS_STAMP)?
                .query_row(params![account_id.0, InstantColumn(now)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            accounts.push((account_id, last, last_hold, in_force));
        }
        let last_job = connection.prepare_cached(SELECT_LAST_JOB)?.query_row([&owner.client_id().0], |row| row.get(0))?;
        Ok(Self { accounts, last_job })
    }
}

/// What a purge would do, and by what it will be known whether it still would.
pub(super) async fn preview(store: &SqliteStore, query: PreviewQuery) -> Result<(Preview, Stamp)> {
    // OK because the semaphore is never closed.
    let _turn = store.previews.acquire().await.map_err(|error| StoreError::Failed(Box::new(error)))?;
    let now = store.clock.now();
    let question = query.question.clone();
    let look = Look::begin(store, LIMIT, question, move |connection| job_at(connection, query, now)).await?;
    let planner = Planner::Look(&look);
    let owner = look.job().job.owner.clone();
    let (stamp, accounts) =
        planner.read(move |connection| Ok((Stamp::of(connection, &owner, now)?, accounts_of(connection, &owner, ACCOUNT_FIRST)?))).await?;
    for account_id in &accounts {
        plan::targets(planner, *account_id, BatchLimits::default()).await?;
        companions::plan(planner, *account_id, BatchLimits::default()).await?;
    }
    let mut preview = Sums::default();
    let mut hasher = PreviewHasher::new(&look.job().job.selection);
    let mut after = 0;
    loop {
        let job = look.job().clone();
        let mut told = hasher.clone();
        let Some((batch, part, hashed)) =
            planner.read(move |connection| Ok(part(connection, &job, after, &mut told)?.map(|(batch, part)| (batch, part, told)))).await?
        else {
            break;
        };
        (after, hasher) = (batch, hashed);
        preview.add(part);
    }
    let mut stays = Stays::default();
    for account_id in accounts {
        let job = look.job().clone();
        let of_lists = list_targets::staying(planner, &job, account_id).await?;
        let of_ranges = planner.read(move |connection| staying(connection, &job, account_id)).await?;
        stays.not_before += of_ranges.not_before + of_lists.not_before;
        stays.deleted += of_ranges.deleted + of_lists.deleted;
        let (provenances, binaries) = companions::count_needed(planner, account_id).await?;
        stays.needed_provenance += provenances;
        stays.needed_binary += binaries;
    }
    let holds = planner.read(|connection| met_holds(connection, NO_JOB)).await?;
    Ok((Preview { digest: hasher.finish(), counts: preview.0.into_iter().collect(), stays, holds }, stamp))
}

/// The job that a kick-off would store at this moment.
fn job_at(connection: &Connection, query: PreviewQuery, now: Instant) -> crate::error::Result<JobRow> {
    let SeqColumn(watermark) = connection.prepare_cached(SELECT_WATERMARK)?.query_row([], |row| row.get(0))?;
    let PreviewQuery { owner, selection, question: _, bases } = query;
    let job = PurgeJob {
        job_id: JobId::nil(),
        owner,
        selection,
        bases,
        reason: None,
        watermark,
        state: JobState::Queued,
        phase: Phase::Plan,
        retry_count: 0,
        created_on: now,
        initialized_on: None,
        last_updated: None,
        completed_on: None,
        counts: Vec::new(),
        batches: BatchTally::default(),
        holds: Vec::new(),
        failures: Vec::new(),
        failure: None,
        has_question: false,
    };
    Ok(JobRow { number: NO_JOB, job, fence: 0, companions_prepared: false })
}

/// What one batch of the plan adds.
struct Part {
    resource_type: ResourceType,
    counts: PreviewCounts,
}

#[derive(Default)]
struct Sums(BTreeMap<ResourceType, PreviewCounts>);

impl Sums {
    fn add(&mut self, part: Part) {
        let sum = self.0.entry(part.resource_type).or_default();
        let PreviewCounts { planned, held, along, versions, bytes } = part.counts;
        sum.planned += planned;
        sum.held += held;
        sum.along += along;
        sum.versions += versions;
        sum.bytes += bytes;
    }
}

/// The next batch of the plan, told to `hasher`.
fn part(connection: &Connection, job: &JobRow, after: i64, hasher: &mut PreviewHasher) -> crate::error::Result<Option<(i64, Part)>> {
    let found = connection
        .prepare_cached(SELECT_NEXT_BATCH)?
        .query_row(params![NO_JOB, after], |row| {
            let kind: String = row.get(1)?;
            let account_id: i64 = row.get(2)?;
            let TypeColumn(resource_type) = row.get(3)?;
            let (first, last): (SeqColumn, SeqColumn) = (row.get(4)?, row.get(5)?);
            Ok((row.get::<_, i64>(0)?, kind, account_id, resource_type, first, last, row.get::<_, u64>(6)?, row.get::<_, u64>(7)?))
        })
        .optional()?;
    let Some((batch, kind, account, resource_type, first, last, planned, held)) = found else { return Ok(None) };
    let is_along = kind == BatchKind::Companions.stored();
    let role = if is_along { Some(Role::Companion) } else { (kind == BatchKind::Listed.stored()).then_some(Role::Target) };
    let mut counts = PreviewCounts { planned, held, along: if is_along { planned } else { 0 }, versions: 0, bytes: 0 };
    if held == planned {
        return Ok(Some((batch, Part { resource_type, counts })));
    }
    let selection = &job.job.selection;
    let type_id = TypeColumn(resource_type);
    let of_targets = params![account, type_id, first, last, selection.before.map(InstantColumn), selection.include_deleted, NO_JOB];
    let listed_as = role.map(Role::stored);
    let of_list = params![NO_JOB, account, listed_as, type_id, first, last];
    let (count, select, parameters) = match role {
        Some(_) => (COUNT_VERSIONS_OF_LISTED, SELECT_GOING_LISTED, of_list),
        None => (COUNT_VERSIONS_OF_TARGETS, SELECT_GOING_TARGETS, of_targets),
    };
    (counts.versions, counts.bytes) = connection.prepare_cached(count)?.query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?;
    hasher.part(account, resource_type, counts.versions, counts.bytes);
    let mut statement = connection.prepare_cached(select)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        hasher.resource(row.get::<_, SeqColumn>(0)?.0);
    }
    Ok(Some((batch, Part { resource_type, counts })))
}

/// What stays of the selected types that are not listed in one account, because of its date or its deletion.
fn staying(connection: &Connection, job: &JobRow, account_id: AccountId) -> crate::error::Result<Stays> {
    let selection = &job.job.selection;
    let mut stays = Stays::default();
    let is_ranged = |resource_type: &ResourceType| selection.selects_type(*resource_type) && !selection.is_listed(*resource_type);
    for resource_type in types_of(connection, account_id)?.into_iter().filter(is_ranged) {
        let (not_before, deleted): (u64, u64) = connection
            .prepare_cached(COUNT_STAYING)?
            .query_row(params![account_id.0, TypeColumn(resource_type), selection.before.map(InstantColumn)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        stays.not_before += not_before;
        stays.deleted += if selection.include_deleted { 0 } else { deleted };
    }
    Ok(stays)
}
