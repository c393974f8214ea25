//! `DELETE /hold-management/v1/hold/{hold id}?by=…`: lifts a hold. Its record stays, without the ids that it named.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use lethe_fhir::IssueType;
use lethe_purge::holds::hold_text;
use lethe_store::HoldLifted;

use super::{administrator::Administrator, wire::answer_hold};
use crate::{App, edge::Pairs, error::ApiError, purge::job_id};

/// Lifts it, unless it has ended.
pub async fn lift(
    State(app): State<Arc<App>>,
    administrator: Administrator,
    Path(hold_id): Path<String>,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only(&["by", "_format", "_pretty"])?;
    let by = pairs.get("by").ok_or_else(|| ApiError::bad(IssueType::Required, "by is missing: say who lifts the hold; nothing changed"))?;
    let by = hold_text(by).map_err(|error| ApiError::bad(IssueType::Value, format!("by {error}; nothing changed")))?;
    let hold_id = job_id(&hold_id).ok_or_else(no_such_hold)?;
    let lifted_by = format!("{by} of client {}", administrator.client_id);
    match app.store.lift_hold(Some(&administrator.client_id), hold_id, &lifted_by).await? {
        HoldLifted::Lifted(hold) => Ok(answer_hold(StatusCode::OK, &hold, None)),
        HoldLifted::Ended(hold) => Err(ApiError::Conflict {
            text: format!(
                "this hold has ended already, {}; nothing changed",
                hold.lifted_by.map_or_else(|| "by its time".to_owned(), |by| format!("lifted by {by}"))
            ),
            content_location: None,
        }),
        HoldLifted::Unknown => Err(no_such_hold()),
    }
}

/// The same for one that never was and for another client's.
fn no_such_hold() -> ApiError {
    ApiError::NotFound(format!("this client has set no such hold; GET {} lists them", super::PATH))
}
