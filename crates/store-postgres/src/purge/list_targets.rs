//! The list of targets: of the types with conditions what fits them, of patients what is in their compartments. Decided on what was current at the
//! watermark, page by page (INV-7).

use std::collections::{BTreeSet, HashSet};

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_purge::{
    PurgeLevel, Selection, Seq,
    plan::{BatchCutter, BatchLimits, BatchRange},
    preview::Stays,
};
use lethe_search::{
    IndexValues, NOBODY_HERE,
    export::{Candidate, ExportFilter, ExportQuestion, Patients},
};
use lethe_store::{PreviewQuery, StoreError, StoredVersion};
use tokio_postgres::Row;

use super::{
    Result, held,
    job::JobRow,
    listed::{self, Role},
    plan::{BatchKind, insert_batches, last_seq_before},
    planner::Planner,
};
use crate::{
    PostgresStore, bulk,
    columns::{IdColumn, InstantColumn, KIND_DELETE, SeqColumn, TypeColumn, at_most, number, seq},
    holds,
    index_columns::IndexValuesColumn,
    resources::{RowVersion, SELECT_VERSION_AT, current_row, types_of},
    transaction::{Tx, Values},
};

const SELECT_CANDIDATES: &str = include_str!("../../sql/purge/candidates_from.sql");

/// Versions looked at in one go: each go is one read transaction, and has the values of so many in memory. Few in debug builds, so that tests meet
/// several goes.
const LOOKED_AT_MAX: usize = if cfg!(debug_assertions) { 50 } else { 500 };
/// Members that are told of one by one.
const TOLD_MAX: usize = 100;

/// One account and type, and what is taken of it.
struct Scan<'a> {
    job: &'a JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    filter: &'a ExportFilter,
}

/// A version that is taken.
struct Found {
    seq: Seq,
    stored_bytes: u64,
    /// Numbers of the holds that keep it.
    holds: Vec<i64>,
}

/// Stores the lists of one account, and their batches. What is on hold is counted in its batch, and is not put on the list.
pub(super) async fn plan(planner: Planner<'_>, job: &JobRow, account_id: AccountId, limits: BatchLimits) -> Result<()> {
    let Some((filter, types)) = asked(planner, job, account_id).await? else { return Ok(()) };
    for resource_type in types {
        plan_type(planner, &Scan { job, account_id, resource_type, filter: &filter }, limits).await?;
    }
    Ok(())
}

/// What there is to look for, and in which types; `None` if nothing is listed.
async fn asked(planner: Planner<'_>, job: &JobRow, account_id: AccountId) -> Result<Option<(ExportFilter, Vec<ResourceType>)>> {
    let selection = &job.job.selection;
    if selection.level == PurgeLevel::System && selection.filtered_types.is_empty() {
        return Ok(None);
    }
    let question = &planner.question(job).await?;
    let read = |tx: Tx| async move { Ok((filter(&tx, job, account_id, question).await?, types_of(&tx, account_id).await?)) };
    let (filter, mut types) = planner.read(read).await?;
    types.retain(|wanted| selection.selects_type(*wanted) && selection.is_listed(*wanted) && filter.can_take(*wanted));
    Ok(Some((filter, types)))
}

/// What the question takes. One that does not go with the selection must never pass for one without conditions.
async fn filter(tx: &Tx, job: &JobRow, account_id: AccountId, question: &ExportQuestion) -> crate::error::Result<ExportFilter> {
    let (selection, bases) = (&job.job.selection, &job.job.bases);
    let forgotten = || {
        let text =
            "what this purge was asked for is not kept any more, since the job had ended before its plan was made: start a new purge";
        StoreError::NotUnderstood(text.to_owned())
    };
    let conditioned: BTreeSet<ResourceType> = question.type_filters.iter().map(|filter| filter.resource_type).collect();
    if conditioned != selection.filtered_types.iter().copied().collect() {
        return Err(forgotten().into());
    }
    let patients = match selection.level {
        PurgeLevel::System => Patients::NotAsked,
        PurgeLevel::Patient if question.patients.is_empty() => return Err(forgotten().into()),
        PurgeLevel::Patient => those_here(tx, job, account_id, question.patients.clone()).await?,
        PurgeLevel::Group => {
            let group = question.group.as_ref().ok_or_else(forgotten)?;
            let members = bulk::members(tx, account_id, group, job.job.watermark, bases, job.job.created_on).await?;
            those_here(tx, job, account_id, members.into_iter().flat_map(|(patients, _)| patients).collect()).await?
        }
    };
    let made = ExportFilter::new(patients, &question.type_filters, bases);
    Ok(made.map_err(|error| StoreError::NotUnderstood(format!("purge_question.question: {error}")))?)
}

/// A compartment is there as long as its Patient is (<https://hl7.org/fhir/R4/compartmentdefinition-patient.html>): of one that was not at the
/// watermark nothing goes, whatever refers to it.
async fn those_here(tx: &Tx, job: &JobRow, account_id: AccountId, patients: Vec<LogicalId>) -> crate::error::Result<Patients> {
    let mut here = HashSet::new();
    for patient in patients {
        let found = bulk::current_at(tx, account_id, ResourceType::PATIENT, &patient, job.job.watermark).await?;
        if found.is_some_and(|row| job.job.selection.include_deleted || !row.is_deletion()) {
            here.insert(patient);
        }
    }
    Ok(Patients::These(here))
}

async fn plan_type(planner: Planner<'_>, scan: &Scan<'_>, limits: BatchLimits) -> Result<()> {
    let (now, limits) = (planner.held_on(scan.job), listed::smaller(limits));
    let mut cutter = BatchCutter::new(scan.resource_type, limits);
    let mut after = Some(Seq(0));
    while let Some(start) = after {
        let (found, next) = planner.read(|tx| scan.targets(tx, start, now)).await?;
        after = next;
        let push = |target: &Found| {
            if target.holds.is_empty() { cutter.push(target.seq, target.stored_bytes) } else { cutter.push_held(target.seq) }
        };
        let mut ranges: Vec<BatchRange> = found.iter().filter_map(push).collect();
        if after.is_none() {
            ranges.extend(std::mem::replace(&mut cutter, BatchCutter::new(scan.resource_type, limits)).finish());
        }
        let (found, ranges) = (&found, &ranges);
        planner.write(|tx, job| store(tx, job, scan.account_id, scan.resource_type, found, ranges)).await?;
    }
    Ok(())
}

async fn store(
    tx: Tx,
    job: JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    found: &[Found],
    ranges: &[BatchRange],
) -> crate::error::Result<()> {
    let going: Vec<_> = found.iter().filter(|target| target.holds.is_empty()).map(|target| (resource_type, target.seq)).collect();
    listed::add(&tx, &job, account_id, Role::Target, &going).await?;
    let met: BTreeSet<i64> = found.iter().flat_map(|target| target.holds.iter().copied()).collect();
    held::note_met(&tx, &job, met).await?;
    insert_batches(&tx, &job, account_id, BatchKind::Listed, ranges).await
}

impl Scan<'_> {
    /// The next targets, and where to go on.
    async fn targets(&self, tx: Tx, after: Seq, now: Instant) -> crate::error::Result<(Vec<Found>, Option<Seq>)> {
        let in_force = holds::in_force(&tx, self.account_id, now).await?;
        let mut found = Vec::new();
        let (rows, next) = self.look(&tx, &self.job.job.selection, after).await?;
        for row in &rows {
            if !self.takes(&tx, row).await? {
                continue;
            }
            let holds = match in_force.on_account() {
                [] if row.try_get(6)? => held::keeping(&tx, self.job, &in_force, self.account_id, self.resource_type, row).await?,
                // It has been changed since: it is spared in any case.
                [] => Vec::new(),
                on_account => on_account.to_vec(),
            };
            found.push(Found { seq: seq(row, 0)?, stored_bytes: number(row, 7)?, holds });
        }
        Ok((found, next))
    }

    /// How many of the next would be targets but for their date, and how many but for their deletion; and where to go on.
    async fn staying(&self, tx: Tx, after: Seq) -> crate::error::Result<(Stays, Option<Seq>)> {
        let selection = &self.job.job.selection;
        let whatever = Selection { before: None, include_deleted: true, ..selection.clone() };
        let mut stays = Stays::default();
        let (rows, next) = self.look(&tx, &whatever, after).await?;
        for row in &rows {
            let InstantColumn(last_updated) = row.try_get(5)?;
            let is_before = selection.before.is_none_or(|before| last_updated < before);
            let counter = match (row.try_get::<_, i16>(2)? == KIND_DELETE, is_before) {
                (false, false) => &mut stays.not_before,
                (true, true) if !selection.include_deleted => &mut stays.deleted,
                _ => continue,
            };
            *counter += u64::from(self.takes(&tx, row).await?);
        }
        Ok((stays, next))
    }

    /// The next of what was current at the watermark and fits the date, and where to go on.
    async fn look(&self, tx: &Tx, selection: &Selection, after: Seq) -> crate::error::Result<(Vec<Row>, Option<Seq>)> {
        let watermark = self.job.job.watermark;
        let last = match selection.before {
            None => watermark,
            Some(before) => last_seq_before(tx, self.account_id, self.resource_type, before, watermark).await?,
        };
        let (of_type, before, limit) = (TypeColumn(self.resource_type), selection.before.map(InstantColumn), at_most(LOOKED_AT_MAX));
        let (after, last, watermark) = (SeqColumn(after), SeqColumn(last), SeqColumn(watermark));
        let values: Values<'_> = &[&self.account_id.0, &of_type, &after, &last, &watermark, &before, &selection.include_deleted, &limit];
        let rows = tx.rows(SELECT_CANDIDATES, values).await?;
        let next = rows.last().filter(|_| rows.len() == LOOKED_AT_MAX).map(|last| seq(last, 0)).transpose()?;
        Ok((rows, next))
    }

    /// Whether the question takes a version. One that records a delete is taken by what the resource last said.
    async fn takes(&self, tx: &Tx, row: &Row) -> crate::error::Result<bool> {
        let (IdColumn(id), InstantColumn(last_updated)) = (row.try_get(1)?, row.try_get(5)?);
        let (filter, bases) = (self.filter, &self.job.job.bases);
        if row.try_get::<_, i16>(2)? == KIND_DELETE {
            return match held::last_content(tx, self.account_id, self.resource_type, row.try_get(3)?).await? {
                Some(said) => bulk::takes(filter, &StoredVersion { last_updated, ..said }, None, bases),
                // Nothing is known of it: a condition that asks what it is not would take it.
                None if filter.has_conditions(self.resource_type) => Ok(false),
                None => Ok(filter.takes(&self.candidate(&id, last_updated, &IndexValues::default()))),
            };
        }
        match row.try_get::<_, Option<IndexValuesColumn>>(4)?.map(|column| column.0) {
            Some(values) if !filter.reads_bodies(self.resource_type) => Ok(filter.takes(&self.candidate(&id, last_updated, &values))),
            kept => {
                let (of_type, place) = (TypeColumn(self.resource_type), SeqColumn(seq(row, 0)?));
                let version = RowVersion::read(&tx.row(SELECT_VERSION_AT, &[&self.account_id.0, &of_type, &place]).await?)?;
                bulk::takes(filter, &version.into_stored(self.account_id, self.resource_type)?, kept.as_ref(), bases)
            }
        }
    }

    fn candidate<'a>(&self, id: &'a LogicalId, last_updated: Instant, values: &'a IndexValues) -> Candidate<'a> {
        Candidate { resource_type: self.resource_type, id, last_updated, values: values.iter(), body: &[] }
    }
}

/// What stays of listed types in one account, because of its date or its deletion.
pub(super) async fn staying(planner: Planner<'_>, job: &JobRow, account_id: AccountId) -> Result<Stays> {
    let mut stays = Stays::default();
    let Some((filter, types)) = asked(planner, job, account_id).await? else { return Ok(stays) };
    for resource_type in types {
        let scan = &Scan { job, account_id, resource_type, filter: &filter };
        let mut after = Some(Seq(0));
        while let Some(start) = after {
            let (of_these, next) = planner.read(|tx| scan.staying(tx, start)).await?;
            after = next;
            stays.not_before += of_these.not_before;
            stays.deleted += of_these.deleted;
        }
    }
    Ok(stays)
}

/// The members of the Group of a question that are no patients here at this moment, in words.
pub(super) async fn unresolved(store: &PostgresStore, query: &PreviewQuery) -> Result<Vec<String>> {
    let (Some(account_id), Some(group)) = (query.owner.account_id(), &query.question.group) else { return Ok(Vec::new()) };
    let now = store.clock.now();
    let read = |tx: Tx| async move {
        let Some((patients, mut told)) = bulk::members(&tx, account_id, group, Seq(i64::MAX as u64), &query.bases, now).await? else {
            return Ok(vec!["there is no such Group".to_owned()]);
        };
        let members = patients.len();
        let mut missing = Vec::new();
        for patient in patients {
            match current_row(&tx, account_id, ResourceType::PATIENT, &patient).await? {
                None => missing.push(format!("Patient/{patient}, a member of the Group, is not here")),
                Some(row) if row.is_deletion() => missing.push(format!("Patient/{patient}, a member of the Group, was deleted")),
                Some(_) => {}
            }
        }
        let is_nobody_here = missing.len() == members;
        missing.sort_unstable();
        told.append(&mut missing);
        if told.len() > TOLD_MAX {
            let more = told.split_off(TOLD_MAX).len();
            told.push(format!("and {more} more members of the Group are no patients here"));
        }
        if is_nobody_here {
            told.insert(0, NOBODY_HERE.to_owned());
        }
        Ok(told)
    };
    store.connections.read(read).await
}
