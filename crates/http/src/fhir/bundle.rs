//! `POST /r4`: a batch or a transaction.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequestParts, Request, State},
    http::StatusCode,
    response::Response,
};
use lethe_fhir::{
    IssueType, LocalBases,
    bundle::{BundleError, BundleKind, RequestBundle, render_bundle},
    limits,
};
use lethe_store::Expect;

use super::{batch::PlannedBatch, transaction::PlannedTransaction, writing::WriteCall};
use crate::{
    App,
    edge::{demand_json, not_json, read_body, reply},
    error::ApiError,
};

enum Planned {
    Batch(PlannedBatch),
    Transaction(PlannedTransaction),
}

/// Reads the Bundle, does what its entries ask for, and answers entry by entry.
pub async fn post_bundle(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let call = WriteCall::from_request_parts(&mut parts, &app).await?;
    if call.expect != Expect::Anything {
        return Err(ApiError::bad(IssueType::Invalid, "If-Match says nothing about a Bundle: set request.ifMatch of its entries"));
    }
    demand_json(&parts.headers)?;
    let body = read_body(&parts.headers, body, limits::BUNDLE_BYTES_MAX).await?;
    let planned = plan(body, app.public_url.clone(), call.rules.bases.clone()).await?;
    answer(&app, &call, planned).await
}

/// A large Bundle takes a second to read: other calls must not wait for it.
async fn plan(body: Bytes, public_url: String, bases: LocalBases) -> Result<Planned, ApiError> {
    let plan = move || {
        let bundle = RequestBundle::parse(&body)?;
        match bundle.kind {
            BundleKind::Batch => Ok(Planned::Batch(PlannedBatch::of(bundle.entries, &body, &public_url, &bases))),
            BundleKind::Transaction => PlannedTransaction::of(bundle.entries, &body, &public_url, &bases).map(Planned::Transaction),
        }
    };
    tokio::task::spawn_blocking(plan).await.map_err(|_| ApiError::Defect)?
}

async fn answer(app: &App, call: &WriteCall, planned: Planned) -> Result<Response, ApiError> {
    let (kind, entries) = match planned {
        Planned::Batch(_) if call.provenance.is_some() => {
            return Err(ApiError::bad(IssueType::NotSupported, "X-Provenance goes with a transaction, not with a batch"));
        }
        Planned::Batch(batch) => ("batch-response", batch.run(app, call).await),
        Planned::Transaction(transaction) => ("transaction-response", transaction.run(app, call).await?),
    };
    Ok(reply(StatusCode::OK, render_bundle(kind, None, &[], entries)))
}

impl From<BundleError> for ApiError {
    fn from(error: BundleError) -> Self {
        let text = error.to_string();
        match error {
            BundleError::TooManyEntries(_) => Self::TooLarge(text),
            BundleError::NotJson(error) => Self::bad(IssueType::Structure, not_json(&error)),
            BundleError::WrongShape(_) => Self::bad(IssueType::Structure, text),
            BundleError::NotABundle => Self::bad(IssueType::Structure, text),
            BundleError::WrongKind(_) => Self::bad(IssueType::Value, text),
            BundleError::NoRequest(_) => Self::bad(IssueType::Required, text),
        }
    }
}
