//! `GET` and `POST /r4/$export`: starts an export of the account, or of all accounts of a client. Costs the same whatever is stored.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use lethe_fhir::{IssueType, OperationOutcome};
use lethe_store::{EXPORTS_KEPT_MAX, ExportKickOff, NewExport};
use uuid::Uuid;

use super::{address::export_url, export_parameters};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{read_body, reply, with_header},
    error::ApiError,
    purge::{KICK_OFF_BYTES_MAX, body_pairs, whole_pairs},
};

/// Stores the job; the worker is woken to plan it.
pub async fn kick_off(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    demand_async(&parts.headers)?;
    let mut pairs = whole_pairs(parts.uri.query().unwrap_or_default())?;
    let body = read_body(&parts.headers, body, KICK_OFF_BYTES_MAX).await?;
    pairs.extend(body_pairs(&parts.headers, &body)?);
    let selection = export_parameters::read(&pairs)?;
    let export = NewExport { job_id: Uuid::new_v4(), owner: scope, selection };
    match app.store.kick_off_export(&export).await? {
        ExportKickOff::Started(job) => {
            app.wake.notify_one();
            let url = export_url(&app, job.job_id);
            let told = OperationOutcome::information(format!("the export has been started; its status is at {url}"));
            Ok(with_header(reply(StatusCode::ACCEPTED, told.to_json().to_string()), header::CONTENT_LOCATION, &url))
        }
        ExportKickOff::Conflict { running } => Err(ApiError::TooManyRequests {
            text: format!("the export {running} is being planned for the same accounts; nothing was started: wait for it, or DELETE it"),
            content_location: Some(export_url(&app, running)),
        }),
        ExportKickOff::TooMany => Err(ApiError::TooManyRequests {
            text: format!(
                "{EXPORTS_KEPT_MAX} exports are kept for the same accounts; nothing was started: DELETE those that are fetched, or wait until \
                 their time is over"
            ),
            content_location: None,
        }),
    }
}

/// Bulk Data has the header required: a caller without it waits for an answer that would not come.
fn demand_async(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut preferences =
        headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split([',', ';']));
    if preferences.any(|preference| preference.trim().eq_ignore_ascii_case("respond-async")) {
        return Ok(());
    }
    let text = "an export is asynchronous: send the header 'Prefer: respond-async', then poll the address in Content-Location; nothing was \
                started";
    Err(ApiError::bad(IssueType::Required, text))
}
