//! `_typeFilter` as exports and purges know it.

use lethe_fhir::{IssueType, ResourceType};
use lethe_search::export::{TypeFilter, TypeFilterError};

use crate::{error::ApiError, purge::whole_pairs};

/// What is wrong with a `_typeFilter`, for its caller.
pub fn refused_filter(error: TypeFilterError) -> ApiError {
    let code = match &error {
        TypeFilterError::Malformed(_) | TypeFilterError::NotACondition { .. } => IssueType::Invalid,
        TypeFilterError::Query { .. } => IssueType::Value,
        TypeFilterError::OtherResources(_) => IssueType::NotSupported,
        TypeFilterError::TooMany => IssueType::TooCostly,
    };
    bad(code, format!("'_typeFilter': {error}"))
}

/// Reads the value of one `_typeFilter`. Several may stand in it, with commas between them, as Bulk Data had it at first: a comma that is followed
/// by `Type?`.
///
/// # Errors
/// What is not `Type?name=value`, or of no type of R4. The conditions themselves are not looked at.
pub fn type_filters(value: &str) -> Result<Vec<TypeFilter>, ApiError> {
    let mut filters = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let is_type = |text: &str| text.split_once('?').is_some_and(|(name, _)| name.parse::<ResourceType>().is_ok());
        let end = rest.match_indices(',').map(|(at, _)| at).find(|at| is_type(&rest[at + 1..])).unwrap_or(rest.len());
        filters.push(type_filter(&rest[..end])?);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    if filters.is_empty() { Err(refused_filter(TypeFilterError::Malformed(String::new()))) } else { Ok(filters) }
}

fn type_filter(text: &str) -> Result<TypeFilter, ApiError> {
    let malformed = || refused_filter(TypeFilterError::Malformed(text.chars().take(120).collect()));
    let (name, query) = text.split_once('?').ok_or_else(malformed)?;
    let resource_type =
        name.parse().map_err(|error: lethe_fhir::UnknownResourceType| bad(IssueType::Value, format!("'_typeFilter': {error}")))?;
    let pairs = whole_pairs(query)?;
    if pairs.is_empty() { Err(malformed()) } else { Ok(TypeFilter { resource_type, pairs }) }
}

fn bad(code: IssueType, text: impl std::fmt::Display) -> ApiError {
    ApiError::bad(code, format!("{text}; nothing was started"))
}
