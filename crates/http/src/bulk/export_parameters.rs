//! The parameters of `$export`, read strictly: one that is not known is refused, since leaving it out would export something else.

use lethe_fhir::{FhirDate, Instant, IssueType, ResourceType};
use lethe_store::ExportSelection;

use crate::{edge::encode_pairs, error::ApiError};

/// What is known.
const KNOWN: [&str; 5] = ["_type", "_since", "_outputFormat", "_format", "_pretty"];

/// Reads the decoded pairs of a kick-off.
///
/// # Errors
/// Whatever is unknown, repeated where it must not be, or not understood.
pub fn read(pairs: &[(String, String)]) -> Result<ExportSelection, ApiError> {
    let mut selection = ExportSelection::default();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if !KNOWN.contains(&name.as_str()) {
            let shown: String = name.chars().take(80).collect();
            let text = format!("'{shown}' is not a parameter of $export; known are {}; nothing was started", KNOWN.join(", "));
            return Err(ApiError::bad(IssueType::NotSupported, text));
        }
        if name != "_type" && pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(bad(IssueType::Invalid, format!("'{name}' is given more than once")));
        }
        match name.as_str() {
            "_type" => selection.types.get_or_insert_default().extend(types(value)?),
            "_since" => selection.since = Some(since(value)?),
            "_outputFormat" => ndjson(value)?,
            _ => {}
        }
    }
    if let Some(types) = &mut selection.types {
        types.sort_unstable();
        types.dedup();
    }
    Ok(selection)
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

/// The query of a kick-off that asks for this.
pub fn query_of(selection: &ExportSelection) -> String {
    let types = selection.types.iter().map(|types| types.iter().map(|name| name.name()).collect::<Vec<_>>().join(","));
    let since = selection.since.map(|since| since.to_string());
    let pairs: Vec<(&str, String)> = types.map(|types| ("_type", types)).chain(since.map(|since| ("_since", since))).collect();
    let query = encode_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())));
    if query.is_empty() { query } else { format!("?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(pairs: &[(&str, &str)]) -> Result<ExportSelection, ApiError> {
        read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_known_is_read_and_told_again() {
        let full = selection(&[
            ("_type", "Patient,Observation"),
            ("_type", "Patient"),
            ("_since", "2024-01-01T00:00:00 02:00"),
            ("_outputFormat", "application/fhir ndjson"),
        ]);
        assert_eq!(query_of(&full.unwrap()), "?_type=Observation,Patient&_since=2023-12-31T22:00:00.000Z");
        assert_eq!(query_of(&selection(&[]).unwrap()), "");
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
        ] {
            let text = selection(pairs).expect_err(expected).outcome().issues[0].text.clone();
            assert!(text.contains(expected) && text.ends_with("nothing was started"), "{text}");
        }
    }
}
