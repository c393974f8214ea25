//! The FHIR REST interactions, one file each (<https://hl7.org/fhir/R4/http.html>).
//!
//! - `create`, `update`, `patch`, `delete`, `bundle`: writes, all through `writing` and `commit`.
//! - `read`, `vread`, `history`, `search`, `metadata`: reads.
//! - `condition`: what conditional writes have seen.
//! - `entry`, `entry_read`, `entry_answer`, `batch`, `transaction`, `transaction_conditions`: the inside of a Bundle.

mod batch;
mod bundle;
mod commit;
mod condition;
mod create;
mod delete;
mod entry;
mod entry_answer;
mod entry_read;
mod everything;
mod history;
mod metadata;
mod operation;
mod page;
mod patch;
mod preference;
mod provenance;
mod read;
mod search;
mod transaction;
mod transaction_conditions;
mod update;
mod validate;
mod version_tag;
mod vread;
mod writing;

use std::sync::Arc;

use axum::http::HeaderName;
use axum::{
    Router,
    routing::{get, post},
};
use lethe_fhir::{LogicalId, ResourceType};

use crate::App;

pub use search::Handling;
pub use writing::{WriteRules, write_of};

/// The condition of a create.
const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// The routes of FHIR REST.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/r4", get(search::of_system).post(bundle::post_bundle))
        .route("/r4/_search", post(search::of_system))
        .merge(metadata::routes())
        .route("/r4/_history", get(history::of_system))
        .route(
            "/r4/{type}",
            get(search::of_type)
                .post(create::create)
                .put(update::update_conditionally)
                .patch(patch::patch_conditionally)
                .delete(delete::delete_conditionally),
        )
        .route("/r4/{type}/_search", post(search::of_type))
        .route("/r4/{type}/$validate", post(validate::of_type))
        .route("/r4/{type}/_history", get(history::of_type))
        .route(
            "/r4/{type}/{id}",
            get(read::read).put(update::update).post(update::update_by_post).patch(patch::patch).delete(delete::delete),
        )
        .route("/r4/{type}/{id}/_history", get(history::of_instance))
        .route("/r4/{type}/{id}/_history/{version}", get(vread::vread))
        .route("/r4/{type}/{id}/$everything", get(everything::everything).post(everything::everything))
        .route("/r4/{type}/{id}/$validate", get(validate::of_instance).post(validate::of_instance))
        .route("/r4/{type}/{id}/{member}", get(search::of_compartment))
        .route("/r4/{type}/{id}/{member}/_search", post(search::of_compartment))
}

/// The absolute URL of a resource.
fn instance_url(app: &App, resource_type: ResourceType, id: &LogicalId) -> String {
    format!("{}/r4/{resource_type}/{id}", app.public_url)
}

/// The absolute URL of one version.
fn version_url(app: &App, resource_type: ResourceType, id: &LogicalId, version: u64) -> String {
    format!("{}/_history/{version}", instance_url(app, resource_type, id))
}
