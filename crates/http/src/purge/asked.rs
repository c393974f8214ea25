//! What a kick-off or a preview asks for: what is selected, and the question that the job does not keep.

use lethe_fhir::{IssueType, LocalBases, LogicalId, ResourceType};
use lethe_purge::{PurgeLevel, Selection, request::PurgeRequest};
use lethe_search::{
    export::{ExportFilter, ExportQuestion, Patients, TypeFilter},
    patient_compartment::is_in_patient_compartments,
};

use crate::{
    bulk::{refused_filter, type_filters},
    error::ApiError,
};

/// Whose resources a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    System,
    /// What is in the compartment of this patient.
    Patient(LogicalId),
    /// What is in those of the members of this Group.
    Group(LogicalId),
}

impl Whose {
    /// Without the id.
    pub fn level(&self) -> PurgeLevel {
        match self {
            Self::System => PurgeLevel::System,
            Self::Patient(_) => PurgeLevel::Patient,
            Self::Group(_) => PurgeLevel::Group,
        }
    }
}

/// What a request selects.
///
/// # Errors
/// A `_typeFilter` that cannot be decided, or that would leave room for a misunderstanding: one of a type that `_type` does not name. A `_type` that
/// no patient's compartment has, where one is asked for.
pub fn read_asked(request: &PurgeRequest, whose: Whose, bases: &LocalBases) -> Result<(Selection, ExportQuestion), ApiError> {
    let mut filters = Vec::new();
    for value in &request.type_filters {
        filters.extend(type_filters(value)?);
    }
    let mut filtered: Vec<ResourceType> = filters.iter().map(|filter| filter.resource_type).collect();
    filtered.sort_unstable();
    filtered.dedup();
    demand_types(request, &filters)?;
    // Made once more when the plan is made; here to see that it can be.
    ExportFilter::new(Patients::NotAsked, &filters, bases).map_err(refused_filter)?;
    if whose != Whose::System
        && let Some(outside) = request.types.iter().flatten().find(|resource_type| !is_in_patient_compartments(**resource_type))
    {
        let text = format!(
            "_type: {outside} is in no patient's compartment (https://hl7.org/fhir/R4/compartmentdefinition-patient.html), so nothing of it \
             would be removed here: leave it out, or purge it by POST /r4/$purge; nothing was started"
        );
        return Err(ApiError::bad(IssueType::BusinessRule, text));
    }
    let selection = request.selection(whose.level(), filtered);
    let (mut group, mut patients) = (None, Vec::new());
    match whose {
        Whose::System => {}
        Whose::Patient(id) => patients.push(id),
        Whose::Group(id) => group = Some(id),
    }
    Ok((selection, ExportQuestion { group, patients, type_filters: filters }))
}

/// With `_typeFilter` a purge must say which types it is of: whoever sends a condition on one type seldom means all others, whole.
fn demand_types(request: &PurgeRequest, filters: &[TypeFilter]) -> Result<(), ApiError> {
    let Some(first) = filters.first() else { return Ok(()) };
    let Some(types) = &request.types else {
        let text = format!(
            "'_typeFilter' narrows the types of '_type', and that is missing: without it every other type would be removed whole. Name the types, \
             as in _type={}; nothing was started",
            first.resource_type
        );
        return Err(ApiError::bad(IssueType::Required, text));
    };
    match filters.iter().find(|filter| !types.contains(&filter.resource_type)) {
        None => Ok(()),
        Some(filter) => {
            let text = format!(
                "'_typeFilter': {} is not among the types of '_type': add it there, or leave the filter out; nothing was started",
                filter.resource_type
            );
            Err(ApiError::bad(IssueType::Invalid, text))
        }
    }
}
