//! `GET /r4/metadata` and the OperationDefinitions: what is so, and nothing that is not. Needs no credentials.
//!
//! - `statement`: the CapabilityStatement, made from the tables that searches are read with.
//! - `operations`: the operations, and their definitions.

mod operations;
mod statement;

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
    routing::get,
};

use crate::{App, edge::reply, error::ApiError};

/// The routes of the metadata.
pub fn routes() -> Router<Arc<App>> {
    // It says the same as long as the server runs, and is large: it is made once.
    let statement: Arc<OnceLock<Bytes>> = Arc::default();
    let answer = async move |State(app): State<Arc<App>>| -> Response {
        let text = statement.get_or_init(|| Bytes::from(capabilities(&app)));
        reply(StatusCode::OK, text.clone())
    };
    let definitions = operations::OPERATIONS.iter().map(|operation| operation.path());
    let routes = Router::new().route("/r4/metadata", get(answer));
    definitions.fold(routes, |routes, path| routes.route(&path, get(definition)))
}

/// The CapabilityStatement.
pub fn capabilities(app: &App) -> String {
    statement::statement(&app.public_url, !app.cors_origins.is_empty()).to_string()
}

/// The OperationDefinition whose path was asked for.
async fn definition(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let operation = operations::OPERATIONS.iter().find(|operation| operation.path() == uri.path()).ok_or(ApiError::Defect)?;
    Ok(reply(StatusCode::OK, operation.definition(&app.public_url).to_string()))
}
