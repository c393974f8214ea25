//! `GET /r4/$export/{job id}`: 202 while the files are planned, then the manifest.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use lethe_auth::Scope;
use lethe_jobs::JobState;
use lethe_store::{ExportFile, ExportFileKind, ExportJob};
use serde_json::{Value, json};

use super::{
    address::{ExportPath, export_file_url, no_such_export},
    export_parameters::request_of,
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{Pairs, http_date, reply, with_header},
    error::ApiError,
};

/// How long a client should wait before it asks again, in seconds.
const RETRY_AFTER_S: &str = "1";

/// The job as it stands.
pub async fn status(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    ExportPath(job_id): ExportPath,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    pairs.only_format()?;
    let job = app.store.export_job(&scope, job_id).await?.ok_or_else(no_such_export)?;
    match job.state {
        JobState::Queued | JobState::Running | JobState::Canceling => Ok(in_progress(&job)),
        JobState::Successful => Ok(manifest(&app, &job)),
        JobState::Failed | JobState::Canceled => Err(ApiError::JobFailed(
            "the export failed because the store did, and the log says more; DELETE it, and start another once the cause is mended"
                .to_owned(),
        )),
    }
}

fn in_progress(job: &ExportJob) -> Response {
    let mut response = reply(StatusCode::ACCEPTED, "");
    response.headers_mut().remove(header::CONTENT_TYPE);
    let response = with_header(response, header::RETRY_AFTER, RETRY_AFTER_S);
    let planned: u64 = job.files.iter().filter(|file| file.kind == ExportFileKind::Resources).map(|file| file.resources).sum();
    with_header(response, HeaderName::from_static("x-progress"), &format!("{planned} resources planned"))
}

fn manifest(app: &App, job: &ExportJob) -> Response {
    let of_kind = |kind: ExportFileKind| -> Vec<Value> {
        job.files.iter().filter(|file| file.kind == kind).map(|file| output(app, job, file)).collect()
    };
    let manifest = json!({
        "transactionTime": job.transaction_time.to_string(),
        "request": format!("{}{}", app.public_url, request_of(&job.selection)),
        "requiresAccessToken": true,
        "output": of_kind(ExportFileKind::Resources),
        "deleted": of_kind(ExportFileKind::Deletions),
        "error": of_kind(ExportFileKind::Issues),
    });
    let mut response = reply(StatusCode::OK, manifest.to_string());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    match job.expires_on {
        Some(expires_on) => with_header(response, header::EXPIRES, &http_date(expires_on)),
        None => response,
    }
}

fn output(app: &App, job: &ExportJob, file: &ExportFile) -> Value {
    let line_type = match file.kind {
        ExportFileKind::Resources => file.resource_type.name(),
        ExportFileKind::Deletions => "Bundle",
        ExportFileKind::Issues => "OperationOutcome",
    };
    let mut output = json!({ "type": line_type, "url": export_file_url(app, job.job_id, file.file), "count": file.resources });
    // Ids of several accounts can be the same: whoever exports them all has to know whose file it is.
    if let (Scope::Client { .. }, ExportFileKind::Resources | ExportFileKind::Deletions) = (&job.owner, file.kind) {
        output["extension"] = json!({ "oneup_user_id": file.account_id });
    }
    output
}
