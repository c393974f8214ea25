//! The parameters of `$export`, read strictly: one that is not known is refused, since leaving it out would export something else.

use lethe_fhir::{FhirDate, Instant, IssueType, LocalBases, LocalReference, Reference, ResourceType};
use lethe_search::export::{ExportFilter, ExportLevel, Patients, TypeFilter};
use lethe_store::ExportSelection;

use super::type_filters::{refused_filter, type_filters};
use crate::{edge::encode_pairs, error::ApiError};

/// What is known.
const KNOWN: [&str; 7] = ["_type", "_since", "_typeFilter", "patient", "_outputFormat", "_format", "_pretty"];

/// What may be given more than once.
const REPEATABLE: [&str; 3] = ["_type", "_typeFilter", "patient"];

/// Patients that one export may name.
const PATIENTS_MAX: usize = 1_000;

/// Reads the decoded pairs of a kick-off.
///
/// # Errors
/// Whatever is unknown, repeated where it must not be, or not understood.
pub fn read(pairs: &[(String, String)], level: ExportLevel, bases: LocalBases) -> Result<ExportSelection, ApiError> {
    let mut selection = ExportSelection { level, bases, ..ExportSelection::default() };
    for (index, (name, value)) in pairs.iter().enumerate() {
        if !KNOWN.contains(&name.as_str()) {
            let shown: String = name.chars().take(80).collect();
            let text = format!("'{shown}' is not a parameter of $export; known are {}; nothing was started", KNOWN.join(", "));
            return Err(ApiError::bad(IssueType::NotSupported, text));
        }
        if !REPEATABLE.contains(&name.as_str()) && pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(bad(IssueType::Invalid, format!("'{name}' is given more than once")));
        }
        match name.as_str() {
            "_type" => selection.types.get_or_insert_default().extend(types(value)?),
            "_since" => selection.since = Some(since(value)?),
            "_typeFilter" => selection.type_filters.extend(type_filters(value)?),
            "patient" => patients(value, &mut selection)?,
            "_outputFormat" => ndjson(value)?,
            _ => {}
        }
    }
    if let Some(types) = &mut selection.types {
        types.sort_unstable();
        types.dedup();
        let is_left_out = |filter: &&TypeFilter| !types.contains(&filter.resource_type);
        if let Some(filter) = selection.type_filters.iter().find(is_left_out) {
            let text =
                format!("'_typeFilter': {0} is not among the types of _type: add it there, or leave the filter out", filter.resource_type);
            return Err(bad(IssueType::Invalid, text));
        }
    }
    // Made once more when the export is planned; here to see that it can be.
    ExportFilter::new(Patients::NotAsked, &selection.type_filters, &selection.bases).map_err(refused_filter)?;
    Ok(selection)
}

/// Several may stand in one value, with commas between them.
fn patients(value: &str, selection: &mut ExportSelection) -> Result<(), ApiError> {
    if selection.level == ExportLevel::System {
        let text = "'patient' goes with /r4/Patient/$export and with /r4/Group/{id}/$export: ask there, or leave it out";
        return Err(bad(IssueType::Invalid, text));
    }
    for text in value.split(',').map(str::trim) {
        let id = match Reference::parse(text, &selection.bases) {
            Ok(Reference::Local(LocalReference { resource_type: ResourceType::PATIENT, id })) => id,
            _ => {
                let shown: String = text.chars().take(80).collect();
                return Err(bad(IssueType::Value, format!("'patient': '{shown}' is no reference to a patient here, such as Patient/1")));
            }
        };
        if !selection.patients.contains(&id) {
            selection.patients.push(id);
        }
        if selection.patients.len() > PATIENTS_MAX {
            let text = format!("'patient': more than {PATIENTS_MAX} are named: make a Group of them, or ask in parts");
            return Err(bad(IssueType::TooCostly, text));
        }
    }
    Ok(())
}

fn bad(code: IssueType, text: impl std::fmt::Display) -> ApiError {
    ApiError::bad(code, format!("{text}; nothing was started"))
}

fn types(value: &str) -> Result<Vec<ResourceType>, ApiError> {
    let read =
        |name: &str| name.parse().map_err(|error: lethe_fhir::UnknownResourceType| bad(IssueType::Value, format!("'_type': {error}")));
    value.split(',').map(str::trim).map(read).collect()
}

/// A date without a time stands for its first instant.
fn since(value: &str) -> Result<Instant, ApiError> {
    // In a query a plus sign that is not encoded arrives as a space.
    let date = value.replace(' ', "+").parse::<FhirDate>();
    date.map(|date| date.low).map_err(|error| bad(IssueType::Value, format!("'_since': {error}")))
}

fn ndjson(value: &str) -> Result<(), ApiError> {
    match value.trim().replace(' ', "+").to_ascii_lowercase().as_str() {
        "application/fhir+ndjson" | "application/ndjson" | "ndjson" => Ok(()),
        _ => Err(bad(
            IssueType::NotSupported,
            "'_outputFormat': only NDJSON is written: application/fhir+ndjson, application/ndjson or ndjson",
        )),
    }
}

/// The path and query of a kick-off that asks for this.
pub fn request_of(selection: &ExportSelection) -> String {
    let path = match &selection.level {
        ExportLevel::System => "/r4/$export".to_owned(),
        ExportLevel::Patient => "/r4/Patient/$export".to_owned(),
        ExportLevel::Group(id) => format!("/r4/Group/{id}/$export"),
    };
    let types = selection.types.iter().map(|types| types.iter().map(|name| name.name()).collect::<Vec<_>>().join(","));
    let since = selection.since.map(|since| since.to_string());
    let mut pairs: Vec<(&str, String)> = types.map(|types| ("_type", types)).chain(since.map(|since| ("_since", since))).collect();
    for TypeFilter { resource_type, pairs: conditions } in &selection.type_filters {
        let query = encode_pairs(conditions.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        pairs.push(("_typeFilter", format!("{resource_type}?{query}")));
    }
    if !selection.patients.is_empty() {
        pairs.push(("patient", selection.patients.iter().map(|id| format!("Patient/{id}")).collect::<Vec<_>>().join(",")));
    }
    let query = encode_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())));
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(pairs: &[(&str, &str)]) -> Result<ExportSelection, ApiError> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read(&pairs, ExportLevel::System, LocalBases::default())
    }

    #[test]
    fn what_is_known_is_read_and_told_again() {
        let full = selection(&[
            ("_type", "Patient,Observation"),
            ("_type", "Patient"),
            ("_since", "2024-01-01T00:00:00 02:00"),
            ("_typeFilter", "Observation?status=final,amended&code=a%7Cb"),
            ("_outputFormat", "application/fhir ndjson"),
        ]);
        assert_eq!(
            request_of(&full.unwrap()),
            "/r4/$export?_type=Observation,Patient&_since=2023-12-31T22:00:00.000Z&_typeFilter=Observation%3Fstatus%3Dfinal,amended%26code%3Da%257Cb"
        );
        assert_eq!(request_of(&selection(&[]).unwrap()), "/r4/$export");
    }

    #[test]
    fn conditions_can_stand_in_one_value_or_in_several() {
        let apart = selection(&[("_typeFilter", "Observation?status=final,amended"), ("_typeFilter", "Condition?onset-age=gt5")]);
        let together = selection(&[("_typeFilter", "Observation?status=final,amended,Condition?onset-age=gt5")]);
        let filters = together.unwrap().type_filters;
        assert_eq!((filters.len(), &filters), (2, &apart.unwrap().type_filters));
    }

    #[test]
    fn patients_are_references_of_an_export_that_goes_by_patients() {
        let read = |values: &[&str], level| {
            let pairs: Vec<_> = values.iter().map(|value| ("patient".to_owned(), (*value).to_owned())).collect();
            read(&pairs, level, LocalBases::new(["http://own.test"]))
        };
        let named = read(&["Patient/a,http://own.test/r4/Patient/b", "Patient/a"], ExportLevel::Patient).unwrap();
        assert_eq!(request_of(&named), "/r4/Patient/$export?patient=Patient%2Fa,Patient%2Fb");
        let many = (0..=PATIENTS_MAX).map(|number| format!("Patient/{number}")).collect::<Vec<_>>().join(",");
        for (value, level, expected) in [
            ("Patient/a", ExportLevel::System, "/r4/Patient/$export"),
            ("", ExportLevel::Patient, "no reference to a patient"),
            ("a", ExportLevel::Patient, "'a' is no reference"),
            ("Group/a", ExportLevel::Patient, "'Group/a'"),
            ("http://else.org/Patient/a", ExportLevel::Patient, "else.org"),
            (&many, ExportLevel::Patient, "more than 1000"),
        ] {
            let text = read(&[value], level).expect_err(expected).outcome().issues[0].text.clone();
            assert!(text.contains(expected) && text.ends_with("nothing was started"), "{text}");
        }
    }

    #[test]
    fn the_rest_is_refused_with_what_would_be_right() {
        for (pairs, expected) in [
            (&[("_typ", "Patient")][..], "'_typ' is not a parameter"),
            (&[("_elements", "id")], "'_elements' is not a parameter"),
            (&[("_type", "Patient,Patiant")], "Patiant"),
            (&[("_type", "")], "_type"),
            (&[("_since", "yesterday")], "_since"),
            (&[("_since", "2024"), ("_since", "2024")], "more than once"),
            (&[("_outputFormat", "csv")], "application/fhir+ndjson"),
            (&[("_typeFilter", "")], "Type?name=value"),
            (&[("_typeFilter", "Observation")], "'Observation' is not of the form"),
            (&[("_typeFilter", "Observation?")], "Type?name=value"),
            (&[("_typeFilter", "Obs?status=final")], "'Obs'"),
            (&[("_typeFilter", "Observation?statas=final")], "no search parameter 'statas'"),
            (&[("_typeFilter", "Observation?patient.name=x")], "chained"),
            (&[("_type", "Patient"), ("_typeFilter", "Observation?status=final")], "not among the types"),
        ] {
            let text = selection(pairs).expect_err(expected).outcome().issues[0].text.clone();
            assert!(text.contains(expected) && text.ends_with("nothing was started"), "{text}");
        }
    }
}
