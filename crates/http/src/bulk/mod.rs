//! Bulk Data: `$export` and its jobs (<https://hl7.org/fhir/uv/bulkdata/STU2/export.html>), and `$import`. One file for each call.

mod address;
mod definition;
mod export_file;
mod export_kick_off;
mod export_parameters;
mod export_remove;
mod export_status;
mod import;
mod import_body;
mod import_cancel;
mod import_lines;
mod import_run;
mod import_status;
mod import_wire;
mod stream;
mod type_filters;

use std::sync::Arc;

use axum::{Router, routing::get};

use crate::App;

pub use definition::{system_operations, type_operation};
pub use type_filters::{refused_filter, type_filters};

/// The route whose calls last as long as their bodies.
pub const IMPORT_ROUTE: &str = "/r4/$import";

/// The routes of bulk jobs.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/r4/$export", get(export_kick_off::of_system).post(export_kick_off::of_system))
        .route("/r4/Patient/$export", get(export_kick_off::of_patients).post(export_kick_off::of_patients))
        .route("/r4/Group/{id}/$export", get(export_kick_off::of_group).post(export_kick_off::of_group))
        .route("/r4/$export/{job_id}", get(export_status::status).delete(export_remove::remove))
        .route("/r4/$export/{job_id}/{file}", get(export_file::file))
        .route(IMPORT_ROUTE, get(import_status::list).post(import::import))
        .route(definition::IMPORT_DEFINITION_PATH, get(definition::import_definition))
        .route("/r4/$import/{job_id}", get(import_status::status).delete(import_cancel::cancel))
}
