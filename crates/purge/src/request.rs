//! The parameters of a kick-off, read so strictly that no slip of the pen widens a purge.

use lethe_fhir::{FhirDate, FhirDateError, Instant, ResourceType};
use thiserror::Error;

use crate::{
    PurgeLevel, Selection,
    preview::{NotADigest, PreviewDigest},
};

/// Characters of `_reason`.
pub const REASON_CHARS_MAX: usize = 1_000;

/// The parameters, for people.
const KNOWN: &str = "_type, _before, _typeFilter, _includeDeleted, _eraseFiles, _reason and _expect";

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeRequest {
    /// `_type`, each once, in the order sent; `None` means every type.
    pub types: Option<Vec<ResourceType>>,
    /// `_before`, as the first instant of what was sent.
    pub before: Option<Instant>,
    /// Each `_typeFilter`, as sent: what it says is for a reader who knows search parameters.
    pub type_filters: Vec<String>,
    /// `_includeDeleted`.
    pub include_deleted: bool,
    /// `_eraseFiles`.
    pub erase_files: bool,
    /// `_reason`.
    pub reason: Option<String>,
    /// `_expect`.
    pub expect: Option<PreviewDigest>,
}

/// Why nothing was started.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PurgeRequestError {
    /// Not a parameter of this operation.
    #[error(
        "'{0}' is not a parameter of $purge, so nothing was started: a parameter that is ignored could purge more than you meant. Known are {KNOWN}"
    )]
    UnknownParameter(String),
    /// Given twice, or in both the query and the body.
    #[error("'{0}' is given more than once, so nothing was started: give it once{hint}", hint = for_several(.0))]
    Repeated(String),
    /// Given without a value.
    #[error("'{0}' has an empty value, so nothing was started: {hint}", hint = to_complete(.0))]
    Empty(String),
    /// Nothing between two commas of `_type`, or at an end of it.
    #[error(
        "_type: part {place} of '{value}' is empty, so nothing was started: remove the stray comma, or add the type that is missing there"
    )]
    EmptyType {
        /// Which of the parts, from 1.
        place: usize,
        /// What was sent.
        value: String,
    },
    /// A type that R4 does not know.
    #[error("_type: {0}; nothing was started")]
    UnknownType(#[from] lethe_fhir::UnknownResourceType),
    /// A date that FHIR does not know.
    #[error("_before: {0}; nothing was started")]
    BadDate(#[from] FhirDateError),
    /// A date that would be one with a `+` for its blank.
    #[error(
        "_before: '{0}' has a blank where a '+' belongs; in a URL or a form a '+' stands for a blank and is itself written %2B: send '{sent}'; nothing was started",
        sent = .0.replace(' ', "%2B")
    )]
    PlusNotEncoded(String),
    /// Neither `true` nor `false`.
    #[error("{0} is 'true' or 'false', not '{1}'; nothing was started")]
    NotABoolean(&'static str, String),
    /// No preview gave this.
    #[error("_expect: {0}; take it from the answer to $purge-preview; nothing was started")]
    NotADigest(#[from] NotADigest),
    /// Over [`REASON_CHARS_MAX`].
    #[error("_reason has {0} characters, at most {REASON_CHARS_MAX} are kept; nothing was started")]
    ReasonTooLong(usize),
    /// It has a character that ends texts.
    #[error("_reason has the character U+0000, which no text may have; nothing was started")]
    ReasonWithNul,
}

impl PurgeRequest {
    /// Reads the decoded pairs of the query and of the body together.
    ///
    /// # Errors
    /// [`PurgeRequestError`] for the first parameter that is unknown, repeated, empty or unreadable. Nothing is ever ignored.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PurgeRequestError> {
        let mut request = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in pairs {
            if !["_type", "_before", "_typeFilter", "_includeDeleted", "_eraseFiles", "_reason", "_expect"].contains(&name) {
                return Err(PurgeRequestError::UnknownParameter(name.chars().take(80).collect()));
            }
            if seen.contains(&name) && name != "_typeFilter" {
                return Err(PurgeRequestError::Repeated(name.to_owned()));
            }
            seen.push(name);
            if value.trim().is_empty() {
                return Err(PurgeRequestError::Empty(name.to_owned()));
            }
            match name {
                "_type" => request.types = Some(types(value)?),
                "_before" => request.before = Some(before(value)?),
                "_typeFilter" => request.type_filters.push(value.to_owned()),
                "_includeDeleted" => request.include_deleted = boolean("_includeDeleted", value)?,
                "_eraseFiles" => request.erase_files = boolean("_eraseFiles", value)?,
                "_expect" => request.expect = Some(value.parse().map_err(PurgeRequestError::NotADigest)?),
                _ => {
                    let chars = value.chars().count();
                    if chars > REASON_CHARS_MAX {
                        return Err(PurgeRequestError::ReasonTooLong(chars));
                    }
                    if value.contains('\0') {
                        return Err(PurgeRequestError::ReasonWithNul);
                    }
                    request.reason = Some(value.to_owned());
                }
            }
        }
        Ok(request)
    }

    /// The part that decides what is removed. `filtered_types` are those of [`type_filters`](Self::type_filters).
    #[must_use]
    pub fn selection(&self, level: PurgeLevel, filtered_types: Vec<ResourceType>) -> Selection {
        Selection { types: self.types.clone(), before: self.before, include_deleted: self.include_deleted, level, filtered_types }
    }
}

fn boolean(name: &'static str, value: &str) -> Result<bool, PurgeRequestError> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(PurgeRequestError::NotABoolean(name, value.chars().take(80).collect())),
    }
}

fn for_several(name: &str) -> &'static str {
    if name == "_type" { ", several types with commas" } else { "" }
}

fn to_complete(name: &str) -> &'static str {
    match name {
        "_type" => "name one or more types, with commas between them",
        "_before" => "give a date, as in 2024-01-31",
        "_typeFilter" => "give it a type and conditions, as in Observation?status=entered-in-error",
        "_includeDeleted" | "_eraseFiles" => "give 'true' or 'false'",
        "_expect" => "give the digest of a preview, or leave it out",
        _ => "give it a text, or leave it out",
    }
}

fn before(value: &str) -> Result<Instant, PurgeRequestError> {
    value.parse::<FhirDate>().map(|date| date.low).map_err(|error| {
        // OK to show whole: what reads as a date is short.
        match value.replace(' ', "+").parse::<FhirDate>() {
            Ok(_) => PurgeRequestError::PlusNotEncoded(value.to_owned()),
            Err(_) => error.into(),
        }
    })
}

fn types(value: &str) -> Result<Vec<ResourceType>, PurgeRequestError> {
    let mut types = Vec::new();
    for (index, name) in value.split(',').enumerate() {
        if name.trim().is_empty() {
            return Err(PurgeRequestError::EmptyType { place: index + 1, value: value.chars().take(200).collect() });
        }
        let resource_type = name.parse()?;
        if !types.contains(&resource_type) {
            types.push(resource_type);
        }
    }
    Ok(types)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<PurgeRequest, PurgeRequestError> {
        PurgeRequest::parse(pairs.iter().copied())
    }

    #[test]
    fn what_is_well_formed_is_read() {
        let request = parse(&[
            ("_type", "Patient,Observation,Patient"),
            ("_before", "2024-02"),
            ("_includeDeleted", "true"),
            ("_eraseFiles", "true"),
            ("_reason", "erasure request 7"),
            ("_typeFilter", "Patient?active=false"),
            ("_typeFilter", "Observation?status=final"),
        ])
        .unwrap();
        assert_eq!(request.type_filters, ["Patient?active=false", "Observation?status=final"]);
        assert_eq!(request.types.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["Patient", "Observation"]);
        assert_eq!(request.before.unwrap().to_string(), "2024-02-01T00:00:00.000Z");
        assert!(request.include_deleted && request.erase_files);
        assert_eq!(request.reason.as_deref(), Some("erasure request 7"));
        assert_eq!(parse(&[]).unwrap(), PurgeRequest::default());
    }

    #[test]
    fn every_slip_is_refused_with_its_name() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("_befor", "2024")], "'_befor'"),
            (&[("_Type", "Patient")], "'_Type'"),
            (&[("type", "Patient")], "'type'"),
            (&[("_typefilter", "Patient?active=true")], "'_typefilter'"),
            (&[("_typeFilter", "")], "'_typeFilter' has an empty value, so nothing was started: give it a type and conditions"),
            (&[("_expect", "x")], "_expect: it is not the digest"),
            (&[("_expect", "")], "'_expect' has an empty value"),
            (&[("_expectt", "x")], "'_expectt'"),
            (&[("", "")], "''"),
            (&[("_type", "Patient"), ("_type", "Observation")], "'_type' is given more than once"),
            (&[("_before", "2024"), ("_before", "2025")], "'_before' is given more than once"),
            (&[("_type", "")], "'_type' has an empty value"),
            (&[("_type", "Patient,,Observation")], "part 2 of 'Patient,,Observation' is empty"),
            (&[("_type", "Patient,")], "part 2 of 'Patient,' is empty, so nothing was started: remove the stray comma"),
            (&[("_type", ", ")], "part 1 of ', ' is empty"),
            (&[("_before", " ")], "'_before' has an empty value, so nothing was started: give a date"),
            (&[("_includeDeleted", "")], "'_includeDeleted' has an empty value, so nothing was started: give 'true' or 'false'"),
            (&[("_reason", "")], "'_reason' has an empty value, so nothing was started: give it a text"),
            (&[("_type", "Patient"), ("_type", "Observation")], "give it once, several types with commas"),
            (&[("_before", "2024-01-01T10:00:00 02:00")], "send '2024-01-01T10:00:00%2B02:00'"),
            (&[("_before", "2024-01-01 ")], "'2024-01-01 ' is not a FHIR date"),
            (&[("_type", "patient")], "'patient'"),
            (&[("_type", "Patient, Observation")], "' Observation'"),
            (&[("_before", "yesterday")], "'yesterday'"),
            (&[("_before", "2024-01-01T10:00:00")], "no time zone"),
            (&[("_includeDeleted", "yes")], "_includeDeleted is 'true' or 'false', not 'yes'"),
            (&[("_eraseFiles", "rows")], "_eraseFiles is 'true' or 'false', not 'rows'"),
            (&[("_eraseFiles", "")], "'_eraseFiles' has an empty value, so nothing was started: give 'true' or 'false'"),
            (&[("_eraseFile", "true")], "'_eraseFile'"),
        ];
        for (pairs, expected) in cases {
            let message = parse(pairs).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("nothing was started"), "{pairs:?}: {message}");
            assert!(!message.contains("everything"), "no advice that widens the purge: {message}");
        }
        let twice = parse(&[("_before", "2024"), ("_before", "2025")]).unwrap_err().to_string();
        assert!(!twice.contains("commas"), "only _type takes several: {twice}");
        assert!(parse(&[("_reason", &"x".repeat(1_001))]).is_err());
        assert_eq!(parse(&[("_reason", "a\0b")]).unwrap_err(), PurgeRequestError::ReasonWithNul);
    }
}
