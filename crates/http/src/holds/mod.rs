//! Legal holds over HTTP: for clients that may set them, on the accounts of their own users. Nothing here decides what a hold keeps.

mod add;
mod administrator;
mod lift;
mod list;
mod wire;

use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get},
};

use crate::App;

/// Where holds are set and listed.
const PATH: &str = "/hold-management/v1/hold";

/// The routes of holds.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route(PATH, get(list::list).post(add::add)).route("/hold-management/v1/hold/{hold_id}", delete(lift::lift))
}
