//! The parameters of a kick-off, read so strictly that no slip of the pen widens a purge.

use lethe_fhir::{FhirDate, FhirDateError, Instant, ResourceType};
use thiserror::Error;

use crate::Selection;

/// Characters of `_reason`.
pub const REASON_CHARS_MAX: usize = 1_000;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeRequest {
    /// `_type`, each once, in the order sent; `None` means every type.
    pub types: Option<Vec<ResourceType>>,
    /// `_before`, as the first instant of what was sent.
    pub before: Option<Instant>,
    /// `_includeDeleted`.
    pub include_deleted: bool,
    /// `_reason`.
    pub reason: Option<String>,
}

/// Why nothing was started.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PurgeRequestError {
    /// Not a parameter of this operation.
    #[error(
        "'{0}' is not a parameter of $purge, so nothing was started: a parameter that is ignored could purge more than you meant. Known are _type, _before, _includeDeleted and _reason"
    )]
    UnknownParameter(String),
    /// Given twice, or in both the query and the body.
    #[error("'{0}' is given more than once, so nothing was started: give it once, several types with commas")]
    Repeated(String),
    /// Given without a value.
    #[error("'{0}' has an empty value, so nothing was started: leave the parameter out to select everything")]
    Empty(String),
    /// A type that R4 does not know.
    #[error("_type: {0}; nothing was started")]
    UnknownType(#[from] lethe_fhir::UnknownResourceType),
    /// A date that FHIR does not know.
    #[error("_before: {0}; nothing was started")]
    BadDate(#[from] FhirDateError),
    /// Neither `true` nor `false`.
    #[error("_includeDeleted is 'true' or 'false', not '{0}'; nothing was started")]
    NotABoolean(String),
    /// Over [`REASON_CHARS_MAX`].
    #[error("_reason has {0} characters, at most {REASON_CHARS_MAX} are kept; nothing was started")]
    ReasonTooLong(usize),
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
            if !["_type", "_before", "_includeDeleted", "_reason"].contains(&name) {
                return Err(PurgeRequestError::UnknownParameter(name.chars().take(80).collect()));
            }
            if seen.contains(&name) {
                return Err(PurgeRequestError::Repeated(name.to_owned()));
            }
            seen.push(name);
            if value.trim().is_empty() {
                return Err(PurgeRequestError::Empty(name.to_owned()));
            }
            match name {
                "_type" => request.types = Some(types(value)?),
                "_before" => request.before = Some(value.parse::<FhirDate>()?.low),
                "_includeDeleted" => {
                    request.include_deleted = match value {
                        "true" => true,
                        "false" => false,
                        _ => return Err(PurgeRequestError::NotABoolean(value.chars().take(80).collect())),
                    }
                }
                _ => {
                    let chars = value.chars().count();
                    if chars > REASON_CHARS_MAX {
                        return Err(PurgeRequestError::ReasonTooLong(chars));
                    }
                    request.reason = Some(value.to_owned());
                }
            }
        }
        Ok(request)
    }

    /// The part that decides what is removed.
    #[must_use]
    pub fn selection(&self) -> Selection {
        Selection { types: self.types.clone(), before: self.before, include_deleted: self.include_deleted }
    }
}

fn types(value: &str) -> Result<Vec<ResourceType>, PurgeRequestError> {
    let mut types = Vec::new();
    for name in value.split(',') {
        if name.is_empty() {
            return Err(PurgeRequestError::Empty("_type".to_owned()));
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
            ("_reason", "erasure request 7"),
        ])
        .unwrap();
        assert_eq!(request.types.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["Patient", "Observation"]);
        assert_eq!(request.before.unwrap().to_string(), "2024-02-01T00:00:00.000Z");
        assert!(request.include_deleted);
        assert_eq!(request.reason.as_deref(), Some("erasure request 7"));
        assert_eq!(parse(&[]).unwrap(), PurgeRequest::default());
    }

    #[test]
    fn every_slip_is_refused_with_its_name() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("_befor", "2024")], "'_befor'"),
            (&[("_Type", "Patient")], "'_Type'"),
            (&[("type", "Patient")], "'type'"),
            (&[("_typeFilter", "Patient?active=true")], "'_typeFilter'"),
            (&[("_expect", "x")], "'_expect'"),
            (&[("", "")], "''"),
            (&[("_type", "Patient"), ("_type", "Observation")], "'_type' is given more than once"),
            (&[("_before", "2024"), ("_before", "2025")], "'_before' is given more than once"),
            (&[("_type", "")], "'_type' has an empty value"),
            (&[("_type", "Patient,,Observation")], "'_type' has an empty value"),
            (&[("_type", "Patient,")], "'_type' has an empty value"),
            (&[("_before", " ")], "'_before' has an empty value"),
            (&[("_type", "patient")], "'patient'"),
            (&[("_type", "Patient, Observation")], "' Observation'"),
            (&[("_before", "yesterday")], "'yesterday'"),
            (&[("_before", "2024-01-01T10:00:00")], "no time zone"),
            (&[("_includeDeleted", "yes")], "'yes'"),
        ];
        for (pairs, expected) in cases {
            let message = parse(pairs).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("nothing was started"), "{pairs:?}: {message}");
        }
        assert!(parse(&[("_reason", &"x".repeat(1_001))]).is_err());
    }
}
