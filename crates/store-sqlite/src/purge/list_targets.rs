//! The list of targets: of the types with conditions what fits them, of patients what is in their compartments. Decided on what was current at the
//! watermark, page by page (INV-7).

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LogicalId, ResourceType};
use lethe_purge::{
    PurgeLevel, Selection, Seq,
    plan::{BatchCutter, BatchLimits, BatchRange},
    preview::Stays,
};
use lethe_search::{
    Entries, NOBODY_HERE,
    export::{Candidate, ExportFilter, ExportQuestion, Patients},
};
use lethe_store::{PreviewQuery, StoreError, StoredVersion};
use rusqlite::{Connection, Row, params};

use super::{
    Result, held,
    job::JobRow,
    listed::{self, Role},
    plan::{BatchKind, insert_batches, last_seq_before},
    planner::Planner,
};
use crate::{
    SqliteStore, bulk,
    columns::{IdColumn, InstantColumn, KIND_DELETE, SeqColumn, TypeColumn},
    holds,
    resources::{RowVersion, SELECT_VERSION_AT, current_row, types_of},
};

const SELECT_CANDIDATES: &str = include_str!("../../sql/purge/candidates_from.sql");

/// Versions looked at in one go: each go is one read transaction, so that none keeps old pages for long. Few in debug builds, so that tests meet
/// several goes.
const LOOKED_AT_MAX: usize = if cfg!(debug_assertions) { 50 } else { 10_000 };
/// Rows of the list that are written in one transaction.
const WRITTEN_MAX: usize = if cfg!(debug_assertions) { 16 } else { 2_000 };
/// Members that are told of one by one.
const TOLD_MAX: usize = 100;

/// One account and type, and what is taken of it.
#[derive(Clone)]
struct Scan {
    job: JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    filter: Arc<ExportFilter>,
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
    for scan in scans(planner, job, account_id).await? {
        plan_type(planner, &scan, limits).await?;
    }
    Ok(())
}

/// What there is to look through.
async fn scans(planner: Planner<'_>, job: &JobRow, account_id: AccountId) -> Result<Vec<Scan>> {
    let selection = &job.job.selection;
    if selection.level == PurgeLevel::System && selection.filtered_types.is_empty() {
        return Ok(Vec::new());
    }
    let question = planner.question(job).await?;
    let asked = job.clone();
    let (filter, mut types) =
        planner.read(move |connection| Ok((filter(connection, &asked, account_id, &question)?, types_of(connection, account_id)?))).await?;
    types.retain(|wanted| selection.selects_type(*wanted) && selection.is_listed(*wanted) && filter.can_take(*wanted));
    let filter = Arc::new(filter);
    let scan = |resource_type| Scan { job: job.clone(), account_id, resource_type, filter: Arc::clone(&filter) };
    Ok(types.into_iter().map(scan).collect())
}

/// What the question takes. One that does not go with the selection must never pass for one without conditions.
fn filter(connection: &Connection, job: &JobRow, account_id: AccountId, question: &ExportQuestion) -> crate::error::Result<ExportFilter> {
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
        PurgeLevel::Patient => those_here(connection, job, account_id, question.patients.iter().cloned())?,
        PurgeLevel::Group => {
            let group = question.group.as_ref().ok_or_else(forgotten)?;
            let members = bulk::members(connection, account_id, group, job.job.watermark, bases, job.job.created_on)?;
            those_here(connection, job, account_id, members.into_iter().flat_map(|(patients, _)| patients))?
        }
    };
    let made = ExportFilter::new(patients, &question.type_filters, bases);
    Ok(made.map_err(|error| StoreError::NotUnderstood(format!("purge_question.question: {error}")))?)
}

/// A compartment is there as long as its Patient is (<https://hl7.org/fhir/R4/compartmentdefinition-patient.html>): of one that was not at the
/// watermark nothing goes, whatever refers to it.
fn those_here(
    connection: &Connection,
    job: &JobRow,
    account_id: AccountId,
    patients: impl Iterator<Item = LogicalId>,
) -> crate::error::Result<Patients> {
    let mut here = HashSet::new();
    for patient in patients {
        let found = bulk::current_at(connection, account_id, ResourceType::PATIENT, &patient, job.job.watermark)?;
        if found.is_some_and(|row| job.job.selection.include_deleted || !row.is_deletion()) {
            here.insert(patient);
        }
    }
    Ok(Patients::These(here))
}

async fn plan_type(planner: Planner<'_>, scan: &Scan, limits: BatchLimits) -> Result<()> {
    let (account_id, resource_type) = (scan.account_id, scan.resource_type);
    let (now, limits) = (planner.held_on(&scan.job), listed::smaller(limits));
    let mut cutter = BatchCutter::new(resource_type, limits);
    let mut after = Some(Seq(0));
    while let Some(start) = after {
        let looking = scan.clone();
        let (mut found, next) = planner.read(move |connection| looking.targets(connection, start, now)).await?;
        after = next;
        loop {
            let rest = found.split_off(found.len().min(WRITTEN_MAX));
            let push = |target: &Found| {
                if target.holds.is_empty() { cutter.push(target.seq, target.stored_bytes) } else { cutter.push_held(target.seq) }
            };
            let mut ranges: Vec<BatchRange> = found.iter().filter_map(push).collect();
            if after.is_none() && rest.is_empty() {
                ranges.extend(std::mem::replace(&mut cutter, BatchCutter::new(resource_type, limits)).finish());
            }
            planner.write(move |tx, job| store(tx, job, account_id, resource_type, &found, &ranges)).await?;
            if rest.is_empty() {
                break;
            }
            found = rest;
        }
    }
    Ok(())
}

fn store(
    tx: &Connection,
    job: &JobRow,
    account_id: AccountId,
    resource_type: ResourceType,
    found: &[Found],
    ranges: &[BatchRange],
) -> crate::error::Result<()> {
    let mut met = BTreeSet::new();
    for target in found {
        if target.holds.is_empty() {
            listed::add(tx, job, account_id, Role::Target, resource_type, target.seq)?;
        }
        met.extend(&target.holds);
    }
    held::note_met(tx, job, met)?;
    insert_batches(tx, job, account_id, BatchKind::Listed, ranges)
}

impl Scan {
    /// The next targets, and where to go on.
    fn targets(&self, connection: &Connection, after: Seq, now: Instant) -> crate::error::Result<(Vec<Found>, Option<Seq>)> {
        let in_force = holds::in_force(connection, self.account_id, now)?;
        let mut found = Vec::new();
        let next = self.look(connection, &self.job.job.selection, after, |row| {
            if !self.takes(connection, row)? {
                return Ok(());
            }
            let holds = match in_force.on_account() {
                [] if row.get(6)? => held::keeping(connection, &self.job, &in_force, self.account_id, self.resource_type, row)?,
                // It has been changed since: it is spared in any case.
                [] => Vec::new(),
                on_account => on_account.to_vec(),
            };
            found.push(Found { seq: row.get::<_, SeqColumn>(0)?.0, stored_bytes: row.get(7)?, holds });
            Ok(())
        })?;
        Ok((found, next))
    }

    /// How many of the next would be targets but for their date, and how many but for their deletion; and where to go on.
    fn staying(&self, connection: &Connection, after: Seq) -> crate::error::Result<(Stays, Option<Seq>)> {
        let selection = &self.job.job.selection;
        let whatever = Selection { before: None, include_deleted: true, ..selection.clone() };
        let mut stays = Stays::default();
        let next = self.look(connection, &whatever, after, |row| {
            let InstantColumn(last_updated) = row.get(5)?;
            let is_before = selection.before.is_none_or(|before| last_updated < before);
            let counter = match (row.get::<_, u8>(2)? == KIND_DELETE, is_before) {
                (false, false) => &mut stays.not_before,
                (true, true) if !selection.include_deleted => &mut stays.deleted,
                _ => return Ok(()),
            };
            *counter += u64::from(self.takes(connection, row)?);
            Ok(())
        })?;
        Ok((stays, next))
    }

    /// Shows `each` what was current at the watermark and fits the date; then tells where to go on.
    fn look(
        &self,
        connection: &Connection,
        selection: &Selection,
        after: Seq,
        mut each: impl FnMut(&Row<'_>) -> crate::error::Result<()>,
    ) -> crate::error::Result<Option<Seq>> {
        let watermark = self.job.job.watermark;
        let last = match selection.before {
            None => watermark,
            Some(before) => last_seq_before(connection, self.account_id, self.resource_type, before, watermark)?,
        };
        let mut statement = connection.prepare_cached(SELECT_CANDIDATES)?;
        let mut rows = statement.query(params![
            self.account_id.0,
            TypeColumn(self.resource_type),
            SeqColumn(after),
            SeqColumn(last),
            SeqColumn(watermark),
            selection.before.map(InstantColumn),
            selection.include_deleted,
            LOOKED_AT_MAX as i64
        ])?;
        let (mut looked_at, mut last) = (0, after);
        while let Some(row) = rows.next()? {
            looked_at += 1;
            last = row.get::<_, SeqColumn>(0)?.0;
            each(row)?;
        }
        Ok((looked_at == LOOKED_AT_MAX).then_some(last))
    }

    /// Whether the question takes a version. One that records a delete is taken by what the resource last said.
    fn takes(&self, connection: &Connection, row: &Row<'_>) -> crate::error::Result<bool> {
        let (IdColumn(id), InstantColumn(last_updated)) = (row.get(1)?, row.get(5)?);
        let (filter, bases) = (&self.filter, &self.job.job.bases);
        if row.get::<_, u8>(2)? == KIND_DELETE {
            return match held::last_content(connection, self.account_id, self.resource_type, row.get(3)?)? {
                Some(said) => bulk::takes(filter, &StoredVersion { last_updated, ..said }, None, bases),
                // Nothing is known of it: a condition that asks what it is not would take it.
                None if filter.has_conditions(self.resource_type) => Ok(false),
                None => Ok(filter.takes(&self.candidate(&id, last_updated, &[]))),
            };
        }
        let values = row.get_ref(4)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
        match values {
            Some(values) if !filter.reads_bodies(self.resource_type) => Ok(filter.takes(&self.candidate(&id, last_updated, values))),
            kept => {
                let key = params![self.account_id.0, TypeColumn(self.resource_type), row.get::<_, SeqColumn>(0)?];
                let version = connection.prepare_cached(SELECT_VERSION_AT)?.query_row(key, RowVersion::read)?;
                bulk::takes(filter, &version.into_stored(self.account_id, self.resource_type)?, kept, bases)
            }
        }
    }

    fn candidate<'a>(&self, id: &'a LogicalId, last_updated: Instant, values: &'a [u8]) -> Candidate<'a> {
        Candidate { resource_type: self.resource_type, id, last_updated, values: Entries::of(values), body: &[] }
    }
}

/// What stays of listed types in one account, because of its date or its deletion.
pub(super) async fn staying(planner: Planner<'_>, job: &JobRow, account_id: AccountId) -> Result<Stays> {
    let mut stays = Stays::default();
    for scan in scans(planner, job, account_id).await? {
        let mut after = Some(Seq(0));
        while let Some(start) = after {
            let looking = scan.clone();
            let (of_these, next) = planner.read(move |connection| looking.staying(connection, start)).await?;
            after = next;
            stays.not_before += of_these.not_before;
            stays.deleted += of_these.deleted;
        }
    }
    Ok(stays)
}

/// The members of the Group of a question that are no patients here at this moment, in words.
pub(super) async fn unresolved(store: &SqliteStore, query: PreviewQuery) -> Result<Vec<String>> {
    let (Some(account_id), Some(group)) = (query.owner.account_id(), query.question.group) else { return Ok(Vec::new()) };
    let now = store.clock.now();
    store
        .connections
        .read(move |connection| {
            let Some((patients, mut told)) = bulk::members(connection, account_id, &group, Seq(i64::MAX as u64), &query.bases, now)? else {
                return Ok(vec!["there is no such Group".to_owned()]);
            };
            let members = patients.len();
            let mut missing = Vec::new();
            for patient in patients {
                match current_row(connection, account_id, ResourceType::PATIENT, &patient)? {
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
        })
        .await
}
