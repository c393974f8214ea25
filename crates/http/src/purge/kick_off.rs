//! `POST /r4/$purge`: starts a job. Costs the same whatever is stored.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use lethe_auth::Scope;
use lethe_fhir::{IssueType, LocalBases};
use lethe_purge::request::PurgeRequest;
use lethe_store::{CannotEraseFiles, JobId, KickOff, NewPurge, PurgeJob};
use uuid::Uuid;

use super::{
    asked::{Whose, read_asked},
    parameters::read_request,
    preview::too_costly,
    respond_async::{answer_accepted, prefers_async},
    wire::{answer_kick_off, status_url},
};
use crate::{App, authenticate::Authenticated, edge::HostBases, error::ApiError, randomness::random_bytes};

/// Reads the parameters strictly and stores the job; the worker is woken to plan it.
pub async fn kick_off(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, request) = read_request(request).await?;
    let job = start(&app, scope, request, Whose::System, bases).await?;
    Ok(if prefers_async(&parts.headers) { answer_accepted(&app, &job, Vec::new()) } else { answer_kick_off(&app, &job) })
}

/// Stores the job that a request asks for.
pub async fn start(app: &App, owner: Scope, request: PurgeRequest, whose: Whose, bases: LocalBases) -> Result<PurgeJob, ApiError> {
    let (selection, question) = read_asked(&request, whose, &bases)?;
    let purge = NewPurge {
        job_id: Uuid::new_v4(),
        owner,
        selection,
        question,
        bases,
        reason: request.reason,
        expect: request.expect,
        erase_files: request.erase_files,
        digest_key: random_bytes()?,
    };
    match app.store.kick_off(&purge).await.map_err(too_costly)? {
        KickOff::Started(job) => {
            app.wake.notify_one();
            Ok(*job)
        }
        KickOff::Conflict { running } => Err(conflict_with(app, &purge.owner, running).await),
        KickOff::CannotEraseFiles(why) => Err(ApiError::bad(IssueType::NotSupported, cannot_erase_files(why))),
        KickOff::Changed { digest } => Err(ApiError::VersionMismatch(format!(
            "what would be removed is not what '_expect' stands for, so nothing was started: look at $purge-preview again; its digest is now {digest}"
        ))),
    }
}

fn cannot_erase_files(why: CannotEraseFiles) -> String {
    let (because, otherwise) = match why {
        CannotEraseFiles::Rights => (
            "the database role of this server lacks rights that it takes",
            ", or ask its operator to give them ('lethe erase-files' and the server's log say which)",
        ),
        CannotEraseFiles::Spread => ("the database of this server is spread over several machines, whose files it cannot reach", ""),
    };
    format!("'_eraseFiles' cannot be done here, so nothing was started: {because}. Leave '_eraseFiles' out{otherwise}")
}

/// 409: one job at a time. Who cannot see the job that runs is told who can.
pub async fn conflict_with(app: &App, scope: &Scope, running: JobId) -> ApiError {
    let what_to_do = match app.store.purge_job(scope, running).await {
        Err(error) => return error.into(),
        Ok(Some(_)) => "is in progress for this account or its client; nothing was started: wait for it, or cancel it with DELETE",
        Ok(None) => {
            "is in progress and purges the whole client; nothing was started: wait for it, since only the client's credentials with \
             'x-oneup-user-id: client' can see or cancel it"
        }
    };
    ApiError::Conflict { text: format!("the purge job {running} {what_to_do}"), content_location: Some(status_url(app, running)) }
}
