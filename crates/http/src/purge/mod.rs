//! The operation `$purge` and its jobs, one file for each call. Nothing here removes anything: the worker does.

mod asked;
mod cancel;
mod certificate;
mod job_address;
mod jobs;
mod keys;
mod kick_off;
mod of_patients;
mod parameters;
mod preview;
mod proof;
mod respond_async;
mod retry;
mod status;
mod wire;

use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get, post},
};

use crate::App;

pub use job_address::job_id;
pub use parameters::{KICK_OFF_BYTES_MAX, body_pairs, whole_pairs};
pub use respond_async::prefers_async;
pub use wire::plain_json;

/// The routes of `$purge`.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/r4/$purge", get(jobs::jobs).post(kick_off::kick_off))
        .route("/r4/$purge-preview", get(preview::preview).post(preview::preview))
        .route("/r4/Patient/{id}/$purge", post(of_patients::kick_off_patient))
        .route("/r4/Patient/{id}/$purge-preview", get(of_patients::preview_patient).post(of_patients::preview_patient))
        .route("/r4/Group/{id}/$purge", post(of_patients::kick_off_group))
        .route("/r4/Group/{id}/$purge-preview", get(of_patients::preview_group).post(of_patients::preview_group))
        .route("/r4/$purge/{job_id}", get(status::status).put(retry::retry).delete(cancel::cancel))
        .route("/r4/async/{job_id}", get(respond_async::poll).delete(respond_async::stop))
        .route("/r4/$purge/{job_id}/certificate", get(certificate::certificate))
        .route("/r4/$purge/{job_id}/certificate/proof", get(proof::proof))
        .route("/r4/$purge/{job_id}/certificate/key", delete(proof::forget))
        .route(keys::KEYS_PATH, get(keys::keys))
}
