//! `GET` and `POST /r4/$export`, `/r4/Patient/$export`, `/r4/Group/{id}/$export`: starts an export of the account, or of all accounts of a
//! client. Costs the same whatever is stored.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use lethe_auth::Scope;
use lethe_fhir::{InvalidLogicalId, IssueType, LocalBases, LogicalId, OperationOutcome, ResourceType};
use lethe_search::export::ExportLevel;
use lethe_store::{EXPORTS_KEPT_MAX, ExportKickOff, NewExport};
use uuid::Uuid;

use super::{address::export_url, export_parameters};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{HostBases, read_body, reply, with_header},
    error::ApiError,
    purge::{KICK_OFF_BYTES_MAX, body_pairs, prefers_async, whole_pairs},
};

/// Of everything.
pub async fn of_system(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    request: Request,
) -> Result<Response, ApiError> {
    kick_off(&app, scope, ExportLevel::System, bases, request).await
}

/// Of what is in the compartment of any patient.
pub async fn of_patients(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    request: Request,
) -> Result<Response, ApiError> {
    kick_off(&app, scope, ExportLevel::Patient, bases, request).await
}

/// Of what is in the compartments of a Group's members.
pub async fn of_group(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let id: LogicalId = id.parse().map_err(|error: InvalidLogicalId| ApiError::NotFound(error.to_string()))?;
    if scope.account_id().is_none() {
        let text =
            "'x-oneup-user-id: client' stands for all users, and a Group belongs to one: name the user by number; nothing was started";
        return Err(ApiError::bad(IssueType::BusinessRule, text));
    }
    let group = app.store.read(&scope, ResourceType::GROUP, &id).await?.filter(|group| group.body.is_some());
    if group.is_none() {
        return Err(ApiError::NotFound("there is no Group with this id; nothing was started".to_owned()));
    }
    kick_off(&app, scope, ExportLevel::Group(id), bases, request).await
}

/// Stores the job; the worker is woken to plan it.
async fn kick_off(app: &App, owner: Scope, level: ExportLevel, bases: LocalBases, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    demand_async(&parts.headers)?;
    let mut pairs = whole_pairs(parts.uri.query().unwrap_or_default())?;
    let body = read_body(&parts.headers, body, KICK_OFF_BYTES_MAX).await?;
    pairs.extend(body_pairs(&parts.headers, &body, &["patient"])?);
    let selection = export_parameters::read(&pairs, level, bases)?;
    if !selection.patients.is_empty() && owner.account_id().is_none() {
        let text = "'patient': 'x-oneup-user-id: client' stands for all users, and a patient belongs to one: name the user by number; nothing \
                    was started";
        return Err(ApiError::bad(IssueType::BusinessRule, text));
    }
    let export = NewExport { job_id: Uuid::new_v4(), owner, selection };
    match app.store.kick_off_export(&export).await? {
        ExportKickOff::Started(job) => {
            app.wake.notify_one();
            let url = export_url(app, job.job_id);
            let told = OperationOutcome::information(format!("the export has been started; its status is at {url}"));
            Ok(with_header(reply(StatusCode::ACCEPTED, told.to_json().to_string()), header::CONTENT_LOCATION, &url))
        }
        ExportKickOff::Conflict { running } => Err(ApiError::TooManyRequests {
            text: format!("the export {running} is being planned for the same accounts; nothing was started: wait for it, or DELETE it"),
            content_location: Some(export_url(app, running)),
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
    if prefers_async(headers) {
        return Ok(());
    }
    let text = "an export is asynchronous: send the header 'Prefer: respond-async', then poll the address in Content-Location; nothing was \
                started";
    Err(ApiError::bad(IssueType::Required, text))
}
