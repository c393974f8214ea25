//! What is wrong with a query: which parameter, what is wrong, what would be right.

use std::fmt;

use lethe_fhir::{Issue, IssueType, OperationOutcome, Severity};
use thiserror::Error;

/// So much of what was sent is repeated in an error.
const SHOWN_CHARS: usize = 80;

/// No explanation is longer, whatever of the query it repeats.
const TEXT_CHARS: usize = 1_500;

/// So many errors are told of one query.
const ERRORS_MAX: usize = 20;

/// The kinds of error in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryErrorKind {
    /// No such parameter here. With lenient handling it is ignored, and said so.
    UnknownParameter,
    /// The parameter is known, but not what is asked of it.
    NotSupported,
    /// Contradicts FHIR's rules for queries.
    Invalid,
    /// The value cannot be read.
    Value,
    /// Over a limit.
    TooCostly,
}

/// One thing that is wrong with a query.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("'{parameter}': {text}")]
pub struct QueryError {
    /// The parameter as sent, modifier and all, shortened if it is very long.
    pub parameter: String,
    /// What is wrong, and what would be right.
    pub text: String,
    /// Which kind.
    pub kind: QueryErrorKind,
}

impl QueryError {
    /// The kind as OperationOutcomes say it.
    #[must_use]
    pub fn issue_type(&self) -> IssueType {
        match self.kind {
            QueryErrorKind::UnknownParameter | QueryErrorKind::NotSupported => IssueType::NotSupported,
            QueryErrorKind::Invalid => IssueType::Invalid,
            QueryErrorKind::Value => IssueType::Value,
            QueryErrorKind::TooCostly => IssueType::TooCostly,
        }
    }

    /// Whether it is about the parameter of this name.
    pub(super) fn is_of(&self, name: &str) -> bool {
        self.parameter == shown(name)
    }

    /// As an issue: an error, or a warning for what was ignored.
    #[must_use]
    pub fn to_issue(&self, severity: Severity) -> Issue {
        Issue { severity, code: self.issue_type(), text: self.to_string(), expression: Vec::new() }
    }
}

/// Everything that is wrong with a query; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryErrors(pub Vec<QueryError>);

impl QueryErrors {
    /// Each error once, and not endlessly many.
    pub(super) fn of(errors: Vec<QueryError>) -> Self {
        let mut distinct: Vec<QueryError> = Vec::new();
        for error in errors {
            if distinct.len() < ERRORS_MAX && !distinct.contains(&error) {
                distinct.push(error);
            }
        }
        Self(distinct)
    }

    /// As FHIR says it.
    #[must_use]
    pub fn to_outcome(&self) -> OperationOutcome {
        OperationOutcome { issues: self.0.iter().map(|error| error.to_issue(Severity::Error)).collect() }
    }
}

impl fmt::Display for QueryErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for QueryErrors {}

/// What is wrong, before it is known of which parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub kind: QueryErrorKind,
    pub text: String,
}

impl Fault {
    pub fn unknown(text: impl Into<String>) -> Self {
        Self { kind: QueryErrorKind::UnknownParameter, text: text.into() }
    }

    pub fn unsupported(text: impl Into<String>) -> Self {
        Self { kind: QueryErrorKind::NotSupported, text: text.into() }
    }

    pub fn invalid(text: impl Into<String>) -> Self {
        Self { kind: QueryErrorKind::Invalid, text: text.into() }
    }

    /// `value` cannot be read; `expected` says what can.
    pub fn value(value: &str, expected: impl fmt::Display) -> Self {
        Self { kind: QueryErrorKind::Value, text: format!("'{}': {expected}", shown(value)) }
    }

    pub fn costly(text: impl Into<String>) -> Self {
        Self { kind: QueryErrorKind::TooCostly, text: text.into() }
    }

    pub fn of(self, parameter: &str) -> QueryError {
        let text = if self.text.chars().nth(TEXT_CHARS).is_some() { self.text.chars().take(TEXT_CHARS).collect() } else { self.text };
        QueryError { parameter: shown(parameter), text, kind: self.kind }
    }
}

/// `text`, shortened if it is very long.
pub(super) fn shown(text: &str) -> String {
    if text.chars().nth(SHOWN_CHARS).is_none() {
        return text.to_owned();
    }
    text.chars().take(SHOWN_CHARS).chain(['…']).collect()
}
