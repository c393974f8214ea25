//! What a filtered export takes, made of what its job stores: the Group as it was at the watermark, and the conditions.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use lethe_auth::AccountId;
use lethe_fhir::{Instant, LocalBases, LogicalId, ResourceType};
use lethe_purge::Seq;
use lethe_search::{
    Entries,
    export::{Candidate, ExportFilter, ExportLevel, Patients},
    members_of,
    patient_compartment::is_in_patient_compartments,
};
use lethe_store::{ExportJob, StoreError, StoredVersion};
use rusqlite::{Connection, params};

use crate::{
    columns::{SeqColumn, TypeColumn},
    error::Result,
    resources::{RowVersion, SELECT_VERSION_AT, content_of, current_row, demand_json, values_of},
};

/// Filters that are kept: a file is read in many parts, and a Group can be large.
const KEPT_MAX: usize = 8;

/// The last filters that were used. A filter never changes, and a number of a job is never used again.
#[derive(Default)]
pub(crate) struct FilterCache(Mutex<VecDeque<(i64, Arc<ExportFilter>)>>);

impl FilterCache {
    pub(super) fn known(&self, number: i64) -> Option<Arc<ExportFilter>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(own, _)| *own == number).map(|(_, filter)| Arc::clone(filter))
    }

    pub(super) fn keep(&self, number: i64, filter: &Arc<ExportFilter>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((number, Arc::clone(filter)));
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
    }
}

/// What a job takes that is filtered.
pub(super) fn make(connection: &Connection, job: &ExportJob) -> Result<ExportFilter> {
    let selection = &job.selection;
    let patients = match &selection.level {
        ExportLevel::System => Patients::NotAsked,
        ExportLevel::Patient if selection.patients.is_empty() => Patients::All,
        ExportLevel::Patient => Patients::These(selection.patients.iter().cloned().collect()),
        ExportLevel::Group(id) => {
            let mut patients = members_at(connection, job, id)?.map(|(patients, _)| patients).unwrap_or_default();
            if !selection.patients.is_empty() {
                patients.retain(|patient| selection.patients.contains(patient));
            }
            Patients::These(patients)
        }
    };
    ExportFilter::new(patients, &selection.type_filters, &selection.bases)
        .map_err(|error| StoreError::NotUnderstood(format!("export_question.question: {error}")).into())
}

fn members_at(connection: &Connection, job: &ExportJob, id: &LogicalId) -> Result<Option<Members>> {
    let Some(account_id) = job.owner.account_id() else { return Ok(None) };
    members(connection, account_id, id, job.watermark, &job.selection.bases, job.transaction_time)
}

/// The patients that are members of a Group, and in words the members that are none.
pub(crate) type Members = (HashSet<LogicalId>, Vec<String>);

/// The members of a Group, as it was at a watermark, at an instant; `None` if there was no such Group.
pub(crate) fn members(
    connection: &Connection,
    account_id: AccountId,
    id: &LogicalId,
    watermark: Seq,
    bases: &LocalBases,
    at: Instant,
) -> Result<Option<Members>> {
    let Some(group) = as_of(connection, account_id, ResourceType::GROUP, id, watermark)? else { return Ok(None) };
    Ok(Some(members_of(&content_of(&group.into_stored(account_id, ResourceType::GROUP)?)?, bases, at)))
}

/// What was asked for and is not exported, in words.
pub(super) fn issues(connection: &Connection, job: &ExportJob) -> Result<Vec<String>> {
    let selection = &job.selection;
    let mut issues = Vec::new();
    if selection.level == ExportLevel::System {
        return Ok(issues);
    }
    let outside = selection.types.iter().flatten().filter(|resource_type| !is_in_patient_compartments(**resource_type));
    issues.extend(outside.map(|outside| format!("{outside} is in no patient's compartment: nothing of this type is exported")));
    let Some(account_id) = job.owner.account_id() else { return Ok(issues) };
    let (patients, of_what) = match &selection.level {
        ExportLevel::Group(id) => {
            let Some((members, others)) = members_at(connection, job, id)? else {
                issues.push("there was no such Group any more when the export began".to_owned());
                return Ok(issues);
            };
            let is_asked = |patient: &LogicalId| selection.patients.is_empty() || selection.patients.contains(patient);
            let strangers = selection.patients.iter().filter(|patient| !members.contains(*patient));
            issues.extend(strangers.map(|stranger| format!("Patient/{stranger} is no member of the Group: nothing of it is exported")));
            if selection.patients.is_empty() {
                issues.extend(others);
            }
            (members.into_iter().filter(is_asked).collect::<Vec<_>>(), ", a member of the Group,")
        }
        _ => (selection.patients.clone(), ""),
    };
    let mut missing = Vec::new();
    for patient in patients {
        if as_of(connection, account_id, ResourceType::PATIENT, &patient, job.watermark)?.is_none() {
            missing.push(format!("Patient/{patient}{of_what} was not there"));
        }
    }
    missing.sort_unstable();
    issues.extend(missing);
    Ok(issues)
}

/// The version that was current at the watermark; `None` if there was none, or a deletion.
fn as_of(
    connection: &Connection,
    account_id: AccountId,
    resource_type: ResourceType,
    id: &LogicalId,
    watermark: Seq,
) -> Result<Option<RowVersion>> {
    Ok(current_at(connection, account_id, resource_type, id, watermark)?.filter(|row| !row.is_deletion()))
}

/// The same, a deletion included.
pub(crate) fn current_at(
    connection: &Connection,
    account_id: AccountId,
    resource_type: ResourceType,
    id: &LogicalId,
    watermark: Seq,
) -> Result<Option<RowVersion>> {
    let mut found = current_row(connection, account_id, resource_type, id)?;
    while let Some(row) = &found {
        if row.seq <= watermark {
            break;
        }
        found = match row.previous {
            None => None,
            Some(previous) => {
                let mut statement = connection.prepare_cached(SELECT_VERSION_AT)?;
                Some(statement.query_row(params![account_id.0, TypeColumn(resource_type), SeqColumn(previous)], RowVersion::read)?)
            }
        };
    }
    Ok(found)
}

/// Whether a version is exported. Index values are kept with current versions; those of one that has been replaced are made anew.
pub(crate) fn takes(filter: &ExportFilter, version: &StoredVersion, kept_values: Option<&[u8]>, bases: &LocalBases) -> Result<bool> {
    if filter.reads_bodies(version.resource_type) {
        demand_json(version)?;
    }
    let made;
    let values = match kept_values {
        Some(kept) => Entries::of(kept),
        None => {
            made = values_of(version, bases)?;
            made.iter()
        }
    };
    Ok(filter.takes(&Candidate {
        resource_type: version.resource_type,
        id: &version.id,
        last_updated: version.last_updated,
        values,
        body: version.body.as_ref().map(|body| body.as_bytes()).unwrap_or_default(),
    }))
}
