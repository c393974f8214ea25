//! `POST /r4/$import`: stores the lines of a body as they arrive, and answers when it ends.

use std::{sync::Arc, thread};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    response::Response,
};
use lethe_auth::AccountId;
use lethe_fhir::IssueType;
use lethe_store::{ImportStart, NewImport};
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use super::{
    address::import_url,
    import_body::body_pipe,
    import_lines::Lines,
    import_run::{Ending, ImportRun},
    import_wire::answer_end,
};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{HostBases, Pairs},
    error::ApiError,
    fhir::{Handling, WriteRules},
};

/// Imports that run at the same time, whoever's: each has a thread and a few batches of memory.
const IMPORTS_MAX: usize = 8;
static PLACES: Semaphore = Semaphore::const_new(IMPORTS_MAX);

/// Batches that wait to be stored, besides the one that is.
const BATCHES_WAITING: usize = 2;

/// Reads, stores, and answers with what became of each line. What was stored stays stored, however the call ends.
pub async fn import(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    request: Request,
) -> Result<Response, ApiError> {
    let account_id: AccountId = scope.account_id().ok_or_else(|| {
        ApiError::bad(IssueType::BusinessRule, "'x-oneup-user-id: client' stands for all users; an import goes to one: name it by number")
    })?;
    let pairs = Pairs::of(request.uri())?;
    pairs.only(&["_after", "_format", "_pretty"])?;
    let after_line = after_line(&pairs)?;
    refuse_conditions(request.headers())?;
    demand_ndjson(request.headers())?;
    let is_gzip = is_gzip(request.headers())?;
    let place = PLACES.try_acquire().map_err(|_| ApiError::TooManyRequests {
        text: format!("{IMPORTS_MAX} imports are running on this server, and no more do at a time; nothing was stored: try again later"),
        content_location: None,
    })?;
    let import = NewImport { job_id: Uuid::new_v4(), owner: scope, account_id, after_line };
    let lease = match app.store.start_import(&import).await? {
        ImportStart::Started(lease, _) => lease,
        ImportStart::Conflict { running } => {
            return Err(ApiError::Conflict {
                text: format!(
                    "the import {running} is in progress for this account; nothing was stored: wait for it, or cancel it with DELETE"
                ),
                content_location: Some(import_url(&app, running)),
            });
        }
    };
    let (pump, body) = body_pipe();
    let (batches, parsed) = mpsc::channel(BATCHES_WAITING);
    let rules = WriteRules { bases, is_structure_checked: app.validation.is_asked(Handling::of(request.headers())) };
    let lines = Lines { body, is_gzip, after_line, rules };
    thread::spawn(move || lines.read(&batches));
    let run = ImportRun { app: Arc::clone(&app), lease };
    // Not a part of this call: should the connection break, the call is dropped where it stands, and the job must still get its end.
    let mut running = tokio::spawn(async move {
        let ending = run.run(parsed).await;
        drop(place);
        ending
    });
    let ended = tokio::select! {
        () = pump.pump(request.into_body()) => running.await,
        // It can end before its body does: canceled, or because the store failed.
        ended = &mut running => ended,
    };
    let ending: Ending = ended.map_err(|_| ApiError::Defect)?;
    answer_end(&app, import.job_id, ending)
}

fn after_line(pairs: &Pairs) -> Result<u64, ApiError> {
    match pairs.get("_after").map(str::parse::<u32>) {
        None => Ok(0),
        Some(Ok(line)) => Ok(u64::from(line)),
        Some(Err(_)) => Err(ApiError::bad(
            IssueType::Value,
            "'_after': the number of the last line that an earlier import has read is expected; nothing was stored",
        )),
    }
}

/// Headers that go with a single write. Ignored, they would store what was to be left alone, or leave out what was to be stored.
fn refuse_conditions(headers: &HeaderMap) -> Result<(), ApiError> {
    match ["if-match", "if-none-match", "if-none-exist", "x-provenance"].into_iter().find(|name| headers.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let text = format!("the header '{name}' goes with a single write, not with an import: leave it out; nothing was stored");
            Err(ApiError::bad(IssueType::NotSupported, text))
        }
    }
}

fn demand_ndjson(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    let media_type = text.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
    if matches!(media_type.as_str(), "application/fhir+ndjson" | "application/ndjson" | "application/x-ndjson") {
        return Ok(());
    }
    Err(ApiError::UnsupportedMediaType(
        "an import is NDJSON, one resource a line: send it as 'Content-Type: application/fhir+ndjson'".to_owned(),
    ))
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(header::CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase()) {
        None => Ok(false),
        Some(coding) if coding == "identity" => Ok(false),
        Some(coding) if coding == "gzip" || coding == "x-gzip" => Ok(true),
        Some(coding) => {
            let shown: String = coding.chars().take(40).collect();
            Err(ApiError::UnsupportedMediaType(format!("the body is encoded as '{shown}': send it plain, or as 'Content-Encoding: gzip'")))
        }
    }
}
