//! When each condition of a transaction is judged: a delete's before anything is done, a create's and an update's after all deletes and
//! creates, a reference's last (<https://hl7.org/fhir/R4/http.html#trules>). The order of entries must not matter, so a condition that one
//! entry of the same turn would make true or false for another is refused.

use std::collections::HashMap;

use lethe_auth::Scope;
use lethe_fhir::{IssueType, LocalBases, LogicalId, ResourceType};
use lethe_search::{Criterion, IndexValues, index_entries};
use lethe_store::Guard;

use super::{
    condition::{Condition, Removed, fitting},
    entry::{AddressedEntry, Aim, Turn},
};
use crate::{App, error::ApiError};

/// Pairs of a conditional reference and a resource of the same Bundle that are compared at most.
const COMPARED_MAX: usize = 1_000_000;

/// A condition, and when it is judged.
pub struct Judged {
    entry: usize,
    /// After the writes of this turn and of those before it; none: before any.
    after: Option<Turn>,
    guard: Guard,
    /// What fits among what is stored already, as if what the Bundle deletes had gone.
    stored: Option<LogicalId>,
}

impl Judged {
    /// The conditions of one entry, taken from its aim.
    pub fn of(entry: &AddressedEntry, aim: &mut Aim) -> Vec<Self> {
        let Some(guard) = aim.guard.take() else { return Vec::new() };
        let judged = |after, guard: Guard| Self { entry: entry.index, after, stored: guard.found.clone(), guard };
        // What the entry itself writes may fit or not.
        let no_other = |guard: &Guard, own: &LogicalId| {
            let mut guard = Guard { found: None, ..guard.clone() };
            guard.criteria.push(Criterion::NotIds(vec![own.clone()]));
            guard
        };
        match (entry.turn, &guard.found, &aim.id) {
            (Turn::Delete, ..) => vec![judged(None, guard)],
            (Turn::Create, None, Some(own)) => vec![judged(Some(Turn::Create), no_other(&guard, own))],
            (Turn::Create, ..) => vec![judged(Some(Turn::Create), guard)],
            (_, None, Some(own)) => vec![judged(Some(Turn::Patch), no_other(&guard, own))],
            (_, Some(found), _) => {
                let others = no_other(&guard, found);
                vec![judged(Some(Turn::Create), guard), judged(Some(Turn::Patch), others)]
            }
            (_, None, None) => vec![judged(Some(Turn::Create), guard)],
        }
    }

    /// A reference to what is stored.
    pub fn reference(entry: usize, guard: Guard) -> Self {
        Self { entry, after: Some(Turn::Patch), stored: guard.found.clone(), guard }
    }

    /// A reference to what the Bundle itself writes.
    pub fn reference_to_new(entry: usize, guard: Guard, id: &LogicalId) -> Self {
        Self { entry, after: Some(Turn::Patch), guard: Guard { found: Some(id.clone()), ..guard }, stored: None }
    }

    /// As a guard of writes that have these turns.
    pub fn guard(&self, turns: &[Turn]) -> Guard {
        let after = self.after.map_or(0, |last| turns.iter().filter(|turn| **turn <= last).count());
        Guard { after, ..self.guard.clone() }
    }

    /// Whether what is stored is still as it was seen, so that only the Bundle can have changed what the condition selects.
    pub async fn is_broken_by_the_bundle(&self, app: &App, scope: &Scope, removed: &Removed) -> Result<bool, ApiError> {
        let found = fitting(app, scope, self.guard.resource_type, &self.guard.criteria, removed).await?;
        let ids: Vec<&LogicalId> = found.iter().map(|version| &version.id).collect();
        Ok(ids == self.stored.iter().collect::<Vec<_>>())
    }

    /// Why the Bundle is refused.
    pub fn refusal(&self) -> ApiError {
        let text = "other entries of the Bundle change what its condition selects, so that the outcome would depend on their order: send them \
                    in two Bundles; nothing was written";
        ApiError::bad(IssueType::BusinessRule, text).in_entry(self.entry)
    }
}

/// What fits each of these conditions of what entries create or update: at most two of each. `ids` are where the entries write to.
///
/// # Errors
/// A resource that cannot be read; too many of both.
pub fn written_fitting(
    entries: &[AddressedEntry],
    ids: &[Option<LogicalId>],
    wanted: &[Condition],
    bases: &LocalBases,
) -> Result<Vec<Vec<LogicalId>>, ApiError> {
    let mut of_type: HashMap<ResourceType, Vec<(&LogicalId, IndexValues)>> =
        wanted.iter().map(|condition| (condition.resource_type, Vec::new())).collect();
    for (entry, id) in entries.iter().zip(ids) {
        let (Turn::Create | Turn::Update, Some(id)) = (entry.turn, id) else { continue };
        let Some(written) = of_type.get_mut(&entry.target.resource_type) else { continue };
        let in_entry = |error: ApiError| error.in_entry(entry.index);
        let resource = entry.read_resource().map_err(in_entry)?;
        let values = index_entries(&resource, bases).map_err(|error| in_entry(error.into()))?.values;
        written.push((id, values));
    }
    let written = |condition: &Condition| of_type.get(&condition.resource_type).map(Vec::as_slice).unwrap_or_default();
    if wanted.iter().map(|condition| written(condition).len()).sum::<usize>() > COMPARED_MAX {
        let text = "too many conditional references select none of what is stored, in a Bundle that writes many resources of their types: \
                    refer to resources of the same Bundle by their fullUrl; nothing was written";
        return Err(ApiError::bad(IssueType::TooCostly, text));
    }
    let fitting = |condition: &Condition| {
        let fit = written(condition).iter().filter(|(id, values)| condition.fits(id, values));
        fit.map(|(id, _)| (*id).clone()).take(2).collect()
    };
    Ok(wanted.iter().map(fitting).collect())
}
