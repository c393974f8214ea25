//! `OperationOutcome`: how FHIR says what went wrong (<https://hl7.org/fhir/R4/operationoutcome.html>).

use serde::Serialize;
use serde_json::{Value, json};

/// How bad an issue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The request could not be answered because the server is not well.
    Fatal,
    /// The request was refused.
    Error,
    /// Done, but something deserves a look.
    Warning,
    /// Done.
    Information,
}

/// The kinds of issue that Lethe reports (<https://hl7.org/fhir/R4/valueset-issue-type.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssueType {
    /// The content is not JSON, or not of the shape that FHIR demands.
    Structure,
    /// A value is not allowed.
    Value,
    /// A code is not of the value set that the element demands.
    CodeInvalid,
    /// Something required is missing.
    Required,
    /// The content is invalid in some other way.
    Invalid,
    /// No usable credentials.
    Login,
    /// Credentials are fine but do not allow this.
    Forbidden,
    /// The server does not do this.
    NotSupported,
    /// No such thing.
    NotFound,
    /// More than one fits where one is meant.
    MultipleMatches,
    /// It was there and has been deleted.
    Deleted,
    /// Over a limit.
    TooLong,
    /// Over a limit of cost or number.
    TooCostly,
    /// Somebody else was first, or a version does not match.
    Conflict,
    /// The parameters contradict a rule of the operation.
    BusinessRule,
    /// Try again later.
    Transient,
    /// Took too long.
    Timeout,
    /// Not all of it is done yet.
    Incomplete,
    /// Too many requests, or no room.
    Throttled,
    /// The store failed.
    Exception,
    /// Not a problem.
    Informational,
}

/// One issue: what, where, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad.
    pub severity: Severity,
    /// Which kind.
    pub code: IssueType,
    /// For the person who reads it: what is wrong and what would be right.
    pub text: String,
    /// Where in the resource, as a FHIRPath; empty when it is not about a place.
    pub expression: Vec<String>,
}

/// One or more issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationOutcome {
    /// Never empty.
    pub issues: Vec<Issue>,
}

impl OperationOutcome {
    /// A refusal.
    #[must_use]
    pub fn error(code: IssueType, text: impl Into<String>) -> Self {
        Self::of(Severity::Error, code, text)
    }

    /// A confirmation.
    #[must_use]
    pub fn information(text: impl Into<String>) -> Self {
        Self::of(Severity::Information, IssueType::Informational, text)
    }

    fn of(severity: Severity, code: IssueType, text: impl Into<String>) -> Self {
        Self { issues: vec![Issue { severity, code, text: text.into(), expression: Vec::new() }] }
    }

    /// The same, pointing at a place in the resource.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        if let Some(issue) = self.issues.last_mut() {
            issue.expression.push(expression.into());
        }
        self
    }

    /// As a FHIR resource.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let issues: Vec<Value> = self
            .issues
            .iter()
            .map(|issue| {
                let mut json = json!({ "severity": issue.severity, "code": issue.code, "details": { "text": issue.text } });
                if !issue.expression.is_empty() {
                    json["expression"] = json!(issue.expression);
                }
                json
            })
            .collect();
        json!({ "resourceType": "OperationOutcome", "issue": issues })
    }
}
