//! Every way in which a call is refused, and the only place that knows which status code that is.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lethe_fhir::{
    Issue, IssueType, OperationOutcome, ResourceError, Severity,
    patch::{PatchError, PatchErrorKind},
};
use lethe_purge::request::PurgeRequestError;
use lethe_search::IndexError;
use lethe_store::{StoreError, WriteError};
use thiserror::Error;

/// Malformed references that are told with one refusal.
const ISSUES_MAX: usize = 20;

/// Seconds after which a client may try again when the store was not available.
const RETRY_AFTER_S: &str = "2";

/// Why a call was refused. Nothing was written, unless said otherwise.
#[derive(Debug, Error)]
pub enum ApiError {
    /// No credentials, or none that are valid.
    #[error("{0}")]
    Unauthenticated(String),
    /// Credentials are fine but do not allow this.
    #[error("{0}")]
    Forbidden(String),
    /// The call is wrong in a way that the issues describe.
    #[error("the call was refused")]
    BadRequest(OperationOutcome),
    /// Nothing is at this address.
    #[error("{0}")]
    NotFound(String),
    /// The resource has been deleted the FHIR way; its history is still there.
    #[error("{0}")]
    Gone(String),
    /// The address does not take this method. The router adds `Allow`.
    #[error("{0}")]
    WrongMethod(String),
    /// Only JSON is spoken here.
    #[error("{0}")]
    NotAcceptable(String),
    /// Something that stands in the way.
    #[error("{text}")]
    Conflict {
        /// What, and what to do next.
        text: String,
        /// The URL of what stands in the way, if it has one.
        content_location: Option<String>,
    },
    /// One of the same kind runs, or too many are kept.
    #[error("{text}")]
    TooManyRequests {
        /// What, and what to do next.
        text: String,
        /// The URL of what stands in the way, if it is one thing.
        content_location: Option<String>,
    },
    /// A job ended without what was asked of it.
    #[error("{0}")]
    JobFailed(String),
    /// The call is understood, but what would come of it is no valid resource.
    #[error("what was sent is understood and cannot be done")]
    Unprocessable(OperationOutcome),
    /// See [`PatchError`].
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// `If-Match` names another version than the current one, or `_expect` another preview.
    #[error("{0}")]
    VersionMismatch(String),
    /// A condition selects more than one resource.
    #[error("{0}")]
    SeveralMatch(String),
    /// The body is over a limit.
    #[error("{0}")]
    TooLarge(String),
    /// The request line is over a limit.
    #[error("{0}")]
    UriTooLong(String),
    /// The body is not JSON by its own account.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// It took too long. What was being written may have been written.
    #[error("the call took longer than {0} s and was given up; read before you write again")]
    TimedOut(u64),
    /// See [`StoreError`].
    #[error("the store could not do it")]
    Store(#[from] StoreError),
    /// The store failed when some of it had been done.
    #[error("{text}")]
    Interrupted {
        /// What has been done, and what to do next.
        text: String,
        /// For the log.
        source: StoreError,
    },
    /// A defect of the server.
    #[error("the server failed in a way that it did not foresee; nothing is known to be lost, and the log says more")]
    Defect,
}

impl ApiError {
    /// The call is wrong; `text` says how, and what would be right.
    pub fn bad(code: IssueType, text: impl Into<String>) -> Self {
        Self::BadRequest(OperationOutcome::error(code, text))
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::BadRequest(_) | Self::Store(StoreError::TooCostly(_)) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Gone(_) => StatusCode::GONE,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::JobFailed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Patch(error) => match error.kind {
                PatchErrorKind::Malformed => StatusCode::BAD_REQUEST,
                PatchErrorKind::DoesNotApply => StatusCode::UNPROCESSABLE_ENTITY,
                PatchErrorKind::TestFailed => StatusCode::CONFLICT,
                PatchErrorKind::OverLimit => StatusCode::PAYLOAD_TOO_LARGE,
            },
            Self::VersionMismatch(_) | Self::SeveralMatch(_) => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TimedOut(_) | Self::Store(StoreError::Unavailable(_) | StoreError::OutOfReach(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Interrupted { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Store(StoreError::Failed(_) | StoreError::LeaseLost | StoreError::NotUnderstood(_) | StoreError::Damaged { .. })
            | Self::Defect => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client reads. What went wrong inside the store is for the log alone.
    pub fn outcome(&self) -> OperationOutcome {
        let code = match self {
            Self::BadRequest(outcome) | Self::Unprocessable(outcome) => return outcome.clone(),
            Self::Patch(error) => match error.kind {
                PatchErrorKind::Malformed => IssueType::Structure,
                PatchErrorKind::DoesNotApply => IssueType::Invalid,
                PatchErrorKind::TestFailed => IssueType::Conflict,
                PatchErrorKind::OverLimit => IssueType::TooCostly,
            },
            Self::Unauthenticated(_) => IssueType::Login,
            Self::Forbidden(_) => IssueType::Forbidden,
            Self::NotFound(_) => IssueType::NotFound,
            Self::Gone(_) => IssueType::Deleted,
            Self::WrongMethod(_) | Self::NotAcceptable(_) | Self::UnsupportedMediaType(_) => IssueType::NotSupported,
            Self::Conflict { .. } | Self::VersionMismatch(_) => IssueType::Conflict,
            Self::TooManyRequests { .. } => IssueType::Throttled,
            Self::JobFailed(_) | Self::Interrupted { .. } => IssueType::Exception,
            Self::SeveralMatch(_) => IssueType::MultipleMatches,
            Self::TooLarge(_) | Self::UriTooLong(_) => IssueType::TooLong,
            Self::TimedOut(_) => IssueType::Timeout,
            Self::Store(StoreError::Unavailable(_) | StoreError::OutOfReach(_)) => IssueType::Transient,
            Self::Store(StoreError::TooCostly(_)) => IssueType::TooCostly,
            Self::Store(StoreError::Failed(_) | StoreError::LeaseLost | StoreError::NotUnderstood(_) | StoreError::Damaged { .. })
            | Self::Defect => IssueType::Exception,
        };
        let text = match self {
            Self::Store(StoreError::Unavailable(_) | StoreError::OutOfReach(_)) => {
                "the database is not available at the moment; nothing was written: try again".to_owned()
            }
            Self::Store(StoreError::TooCostly(seconds)) => {
                format!(
                    "this search would take longer than {seconds} s, so it was given up: add a condition that narrows it, such as a patient or a date"
                )
            }
            Self::Store(error @ StoreError::Damaged { .. }) => format!("{error}; nothing was written"),
            Self::Store(_) => "the database failed; nothing was written, and the log says more".to_owned(),
            other => other.to_string(),
        };
        OperationOutcome::error(code, text)
    }

    /// The same, said of one entry of a Bundle.
    pub fn in_entry(self, index: usize) -> Self {
        let place = format!("Bundle.entry[{index}]");
        let with_place = |text: String| format!("{place}: {text}");
        let placed = |mut outcome: OperationOutcome| {
            for issue in &mut outcome.issues {
                issue.text = with_place(std::mem::take(&mut issue.text));
                issue.expression.insert(0, place.clone());
            }
            outcome
        };
        match self {
            Self::BadRequest(outcome) => Self::BadRequest(placed(outcome)),
            Self::Unprocessable(outcome) => Self::Unprocessable(placed(outcome)),
            Self::Patch(error) => Self::Patch(PatchError { problem: with_place(error.problem), ..error }),
            // A part of a transaction that does not exist is no wrong address of the transaction.
            Self::NotFound(text) => Self::bad(IssueType::NotFound, with_place(text)),
            Self::VersionMismatch(text) => Self::VersionMismatch(with_place(text)),
            Self::SeveralMatch(text) => Self::SeveralMatch(with_place(text)),
            Self::Gone(text) => Self::bad(IssueType::Deleted, with_place(text)),
            Self::Conflict { text, content_location } => Self::Conflict { text: with_place(text), content_location },
            Self::TooLarge(text) => Self::TooLarge(with_place(text)),
            other => other,
        }
    }

    /// The same, said of one thing: `what` says which, first.
    pub fn about(self, what: &str) -> Self {
        match self {
            Self::BadRequest(mut outcome) => {
                for issue in &mut outcome.issues {
                    issue.text = format!("{what}: {}", issue.text);
                }
                Self::BadRequest(outcome)
            }
            Self::SeveralMatch(text) => Self::SeveralMatch(format!("{what}: {text}")),
            other => other,
        }
    }

    /// The same, when not what was sent is wrong but what would come of it: `what` says so first.
    pub fn into_unprocessable(self, what: &str) -> Self {
        match self {
            Self::BadRequest(mut outcome) => {
                for issue in &mut outcome.issues {
                    issue.text = format!("{what}: {}", issue.text);
                }
                Self::Unprocessable(outcome)
            }
            other => other,
        }
    }

    /// Writes to the log what the client is not told. Called once for each refusal, where it is worded.
    pub fn log(&self) {
        match self {
            Self::Store(error @ (StoreError::Unavailable(_) | StoreError::OutOfReach(_))) => {
                tracing::warn!(error = error as &dyn std::error::Error, "the store was not available to a call");
            }
            Self::Store(error) | Self::Interrupted { source: error, .. } => {
                tracing::error!(error = error as &dyn std::error::Error, "the store failed a call");
            }
            _ => {}
        }
    }

    fn headers(&self) -> Vec<(HeaderName, String)> {
        match self {
            Self::Unauthenticated(_) => vec![(header::WWW_AUTHENTICATE, "Bearer".to_owned())],
            Self::Conflict { content_location: Some(url), .. } => vec![(header::CONTENT_LOCATION, url.clone())],
            Self::TooManyRequests { content_location, .. } => {
                let location = content_location.iter().map(|url| (header::CONTENT_LOCATION, url.clone()));
                location.chain([(header::RETRY_AFTER, RETRY_AFTER_S.to_owned())]).collect()
            }
            Self::Store(StoreError::Unavailable(_) | StoreError::OutOfReach(_)) | Self::TimedOut(_) => {
                vec![(header::RETRY_AFTER, RETRY_AFTER_S.to_owned())]
            }
            _ => Vec::new(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let mut response = Response::new(Body::from(self.outcome().to_json().to_string()));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/fhir+json; charset=utf-8"));
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl From<ResourceError> for ApiError {
    fn from(error: ResourceError) -> Self {
        let text = error.to_string();
        match error {
            ResourceError::TooLarge(_) => Self::TooLarge(text),
            ResourceError::TooDeep => Self::bad(IssueType::TooCostly, text),
            ResourceError::NotJson(_) | ResourceError::NotAnObject | ResourceError::WrongKind { .. } => {
                Self::bad(IssueType::Structure, text)
            }
            ResourceError::NoResourceType => Self::bad(IssueType::Required, text),
            ResourceError::UnknownType(_) | ResourceError::InvalidId(_) => Self::bad(IssueType::Value, text),
        }
    }
}

impl From<IndexError> for ApiError {
    fn from(error: IndexError) -> Self {
        let errors = match error {
            IndexError::References(errors) => errors,
            IndexError::Values(error) => return Self::bad(IssueType::TooCostly, error.to_string()),
        };
        let issue = |(place, malformed): (String, lethe_fhir::MalformedReference)| Issue {
            severity: Severity::Error,
            code: IssueType::Value,
            text: malformed.to_string(),
            expression: vec![place],
        };
        Self::BadRequest(OperationOutcome { issues: errors.0.into_iter().take(ISSUES_MAX).map(issue).collect() })
    }
}

impl From<PurgeRequestError> for ApiError {
    fn from(error: PurgeRequestError) -> Self {
        let code = match error {
            PurgeRequestError::UnknownParameter(_) => IssueType::NotSupported,
            PurgeRequestError::ReasonTooLong(_) => IssueType::TooLong,
            PurgeRequestError::Repeated(_) | PurgeRequestError::Empty(_) | PurgeRequestError::EmptyType { .. } => IssueType::Invalid,
            PurgeRequestError::UnknownType(_)
            | PurgeRequestError::BadDate(_)
            | PurgeRequestError::PlusNotEncoded(_)
            | PurgeRequestError::NotADigest(_)
            | PurgeRequestError::ReasonWithNul
            | PurgeRequestError::NotABoolean(..) => IssueType::Value,
        };
        Self::bad(code, error.to_string())
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Expectation { current: Some(version), .. } => {
                Self::VersionMismatch(format!("the current version is W/\"{version}\": read it, merge, and send If-Match: W/\"{version}\""))
            }
            WriteError::Expectation { current: None, .. } => {
                Self::VersionMismatch("there is no current version of this resource, so If-Match cannot hold".to_owned())
            }
            WriteError::Guard(_) => {
                Self::VersionMismatch("other writers changed what the condition selects, again and again: send it once more".to_owned())
            }
            WriteError::NoAccount(_) => Self::Forbidden("the account does not exist any more".to_owned()),
            WriteError::Store(error) => Self::Store(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use lethe_fhir::ResourceType;
    use lethe_purge::Seq;

    use super::*;

    #[test]
    fn what_failed_inside_the_store_is_not_told_to_the_client() {
        let error = ApiError::Store(StoreError::Failed("disk at /secret/path is full".into()));
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!error.outcome().to_json().to_string().contains("/secret/path"));
    }

    #[test]
    fn a_damaged_version_is_told_by_its_type_and_place() {
        let damaged = StoreError::Damaged { resource_type: ResourceType::PATIENT, seq: Seq(17), fault: "it cannot be unpacked" };
        let error = ApiError::Store(damaged);
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let text = &error.outcome().issues[0].text;
        assert!(["one Patient", "place 17", "backup", "nothing was written"].iter().all(|part| text.contains(part)), "{text}");
    }

    #[test]
    fn an_unavailable_store_is_503_with_retry_after() {
        for error in [StoreError::Unavailable("locked".into()), StoreError::OutOfReach("restarts".into())] {
            let response = ApiError::Store(error).into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], RETRY_AFTER_S);
        }
    }

    #[test]
    fn a_mismatch_names_the_current_version() {
        let error = ApiError::from(WriteError::Expectation { index: 0, current: Some(7) });
        assert_eq!(error.status(), StatusCode::PRECONDITION_FAILED);
        assert!(error.outcome().issues[0].text.contains(r#"W/"7""#));
    }
}
