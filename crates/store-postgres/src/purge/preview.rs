//! What a purge would do, found by planning it where nobody sees; and whether anything has changed since.

use std::{collections::BTreeMap, time::Duration};

use lethe_auth::{AccountId, Scope};
use lethe_fhir::{Instant, ResourceType};
use lethe_jobs::JobState;
use lethe_purge::{
    Phase,
    plan::BatchLimits,
    preview::{PreviewCounts, PreviewHasher, Stays},
};
use lethe_store::{BatchTally, JobId, Preview, PreviewQuery, PurgeJob};

use super::{
    Result, companions,
    erase::Erasure,
    job::{JobRow, met_holds},
    kick_off::TAKE_WATERMARK,
    list_targets,
    listed::Role,
    plan::{self, BatchKind},
    planner::{Look, Planner},
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, SeqColumn, TypeColumn, number, seq as read_seq},
    resources::{ACCOUNT_FIRST, accounts_of, types_of},
    transaction::{Tx, Values},
};

const SELECT_NEXT_BATCH: &str = include_str!("../../sql/preview/batches.sql");
const SELECT_CHANGES: &str = include_str!("../../sql/preview/changes.sql");
const SELECT_HOLDS_STAMP: &str = include_str!("../../sql/preview/holds_stamp.sql");
const SELECT_LAST_JOB: &str = include_str!("../../sql/preview/last_job.sql");
const SELECT_GOING_TARGETS: &str = include_str!("../../sql/preview/going_targets.sql");
const SELECT_GOING_LISTED: &str = include_str!("../../sql/preview/going_listed.sql");
const SELECT_VERSIONS: &str = include_str!("../../sql/preview/versions_at.sql");
const COUNT_STAYING: &str = include_str!("../../sql/preview/count_staying.sql");

/// How long a preview may take: as long as it looks, old rows cannot be vacuumed.
const LIMIT: Duration = Duration::from_secs(60);

/// The number of the job that a preview plans for. No job has it.
const NO_JOB: i64 = 0;

/// Everything that what a purge removes depends on, in a few numbers: as long as they stay, so does that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// By account: how many changes there were, the last hold, and how many are in force.
    accounts: Vec<(AccountId, i64, i64, i64)>,
    /// The last purge of the client.
    last_job: i64,
}

impl Stamp {
    /// As it is in this transaction.
    pub(super) async fn of(tx: &Tx, owner: &Scope, now: Instant) -> crate::error::Result<Self> {
        let mut accounts = Vec::new();
        for account_id in accounts_of(tx, owner, ACCOUNT_FIRST).await? {
            let changes = tx.row(SELECT_CHANGES, &[&account_id.0]).await?.try_get(0)?;
            let holds = tx.row(SELECT_HOLDS_STAMP, &[&account_id.0, &InstantColumn(now)]).await?;
            accounts.push((account_id, changes, holds.try_get(0)?, holds.try_get(1)?));
        }
        let last_job = tx.row(SELECT_LAST_JOB, &[&owner.client_id().0]).await?.try_get(0)?;
        Ok(Self { accounts, last_job })
    }
}

/// What a purge would do, and by what it will be known whether it still would.
pub(super) async fn preview(store: &PostgresStore, query: &PreviewQuery) -> Result<(Preview, Stamp)> {
    let now = store.clock.now();
    let look = Look::begin(store, LIMIT, query.question.clone(), |tx| job_at(tx, query, now)).await?;
    let (planner, job) = (Planner::Look(&look), look.job());
    let owner = &job.job.owner;
    let begin = |tx: Tx| async move { Ok((Stamp::of(&tx, owner, now).await?, accounts_of(&tx, owner, ACCOUNT_FIRST).await?)) };
    let (stamp, accounts) = planner.read(begin).await?;
    for account_id in &accounts {
        plan::targets(planner, *account_id, BatchLimits::default()).await?;
        companions::plan(planner, *account_id, BatchLimits::default()).await?;
    }
    let mut preview = Sums::default();
    let mut hasher = PreviewHasher::new(&job.job.selection);
    let mut after = 0;
    while let Some((batch, part)) = planner.read(|tx| part(tx, job, after, &mut hasher)).await? {
        after = batch;
        preview.add(part);
    }
    let mut stays = Stays::default();
    for account_id in accounts {
        let of_lists = list_targets::staying(planner, job, account_id).await?;
        let of_ranges = planner.read(|tx| staying(tx, job, account_id)).await?;
        stays.not_before += of_ranges.not_before + of_lists.not_before;
        stays.deleted += of_ranges.deleted + of_lists.deleted;
        let (provenances, binaries) = companions::count_needed(planner, account_id).await?;
        stays.needed_provenance += provenances;
        stays.needed_binary += binaries;
    }
    let holds = planner.read(|tx| async move { met_holds(&tx, NO_JOB).await }).await?;
    Ok((Preview { digest: hasher.finish(), counts: preview.0.into_iter().collect(), stays, holds }, stamp))
}

/// The job that a kick-off would store at this moment. What its view shows lies below the watermark, and nothing else is seen.
async fn job_at(tx: Tx, query: &PreviewQuery, now: Instant) -> crate::error::Result<JobRow> {
    let watermark = read_seq(&tx.row(TAKE_WATERMARK, &[]).await?, 0)?;
    let PreviewQuery { owner, selection, question: _, bases } = query.clone();
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
    Ok(JobRow { number: NO_JOB, job, fence: 0, companions_prepared: false, erasure: Erasure::Rows })
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
async fn part(tx: Tx, job: &JobRow, after: i64, hasher: &mut PreviewHasher) -> crate::error::Result<Option<(i64, Part)>> {
    let Some(row) = tx.row_if_any(SELECT_NEXT_BATCH, &[&NO_JOB, &after]).await? else { return Ok(None) };
    let (batch, kind, account): (i64, &str, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (type_id, first, last): (TypeColumn, SeqColumn, SeqColumn) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    let (planned, held) = (number(&row, 6)?, number(&row, 7)?);
    let is_along = kind == BatchKind::Companions.stored();
    let role = if is_along { Some(Role::Companion) } else { (kind == BatchKind::Listed.stored()).then_some(Role::Target) };
    let resource_type = type_id.0;
    let mut counts = PreviewCounts { planned, held, along: if is_along { planned } else { 0 }, versions: 0, bytes: 0 };
    if held == planned {
        return Ok(Some((batch, Part { resource_type, counts })));
    }
    let selection = &job.job.selection;
    let going = match role {
        Some(role) => tx.rows(SELECT_GOING_LISTED, &[&NO_JOB, &account, &role.stored(), &type_id, &first, &last]).await?,
        None => {
            let before = selection.before.map(InstantColumn);
            let values: Values<'_> = &[&account, &type_id, &first, &last, &before, &selection.include_deleted, &NO_JOB];
            tx.rows(SELECT_GOING_TARGETS, values).await?
        }
    };
    // Rows: a place, the place before it, and the bytes of the version.
    let mut next = Vec::new();
    for row in &going {
        counts.versions += 1;
        counts.bytes += number(row, 2)?;
        next.extend(row.try_get::<_, Option<SeqColumn>>(1)?);
    }
    while !next.is_empty() {
        let earlier = tx.rows(SELECT_VERSIONS, &[&account, &type_id, &next]).await?;
        next.clear();
        for row in &earlier {
            counts.versions += 1;
            counts.bytes += number(row, 1)?;
            next.extend(row.try_get::<_, Option<SeqColumn>>(0)?);
        }
    }
    hasher.part(account, resource_type, counts.versions, counts.bytes);
    for row in &going {
        hasher.resource(read_seq(row, 0)?);
    }
    Ok(Some((batch, Part { resource_type, counts })))
}

/// What stays of the selected types that are not listed in one account, because of its date or its deletion.
async fn staying(tx: Tx, job: &JobRow, account_id: AccountId) -> crate::error::Result<Stays> {
    let selection = &job.job.selection;
    let mut stays = Stays::default();
    let is_ranged = |resource_type: &ResourceType| selection.selects_type(*resource_type) && !selection.is_listed(*resource_type);
    for resource_type in types_of(&tx, account_id).await?.into_iter().filter(is_ranged) {
        let before = selection.before.map(InstantColumn);
        let row = tx.row(COUNT_STAYING, &[&account_id.0, &TypeColumn(resource_type), &before]).await?;
        stays.not_before += number(&row, 0)?;
        stays.deleted += if selection.include_deleted { 0 } else { number(&row, 1)? };
    }
    Ok(stays)
}
