//! `GET …?…` and `POST …/_search`, of a type, of everything, and of a compartment.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use lethe_auth::Scope;
use lethe_fhir::{LocalBases, LocalReference};

use super::{Asked, SearchParameters, searchset};
use crate::{
    App,
    authenticate::Authenticated,
    edge::{HostBases, InstancePath, Layout, MemberPath, TypePath, reply},
    error::ApiError,
};

async fn answer(app: &App, scope: &Scope, bases: &LocalBases, asked: &Asked, layout: Layout) -> Result<Response, ApiError> {
    let mut response = reply(StatusCode::OK, searchset(app, scope, bases, asked).await?);
    response.extensions_mut().insert(layout);
    Ok(response)
}

/// `/r4/{type}`, by query or form.
pub async fn of_type(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    TypePath(resource_type): TypePath,
    SearchParameters { pairs, handling, layout }: SearchParameters,
) -> Result<Response, ApiError> {
    let asked = Asked::of_type(resource_type, pairs, handling, &bases)?;
    answer(&app, &scope, &bases, &asked, layout).await
}

/// `/r4`, by query or form.
pub async fn of_system(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    SearchParameters { pairs, handling, layout }: SearchParameters,
) -> Result<Response, ApiError> {
    let asked = Asked::of_system(pairs, handling, &bases)?;
    answer(&app, &scope, &bases, &asked, layout).await
}

/// `/r4/{type}/{id}/{member}`, by query or form.
pub async fn of_compartment(
    State(app): State<Arc<App>>,
    Authenticated { scope, .. }: Authenticated,
    HostBases(bases): HostBases,
    MemberPath { owner: InstancePath { resource_type, id }, member }: MemberPath,
    SearchParameters { pairs, handling, layout }: SearchParameters,
) -> Result<Response, ApiError> {
    let owner = LocalReference { resource_type, id };
    let asked = match member {
        Some(member) => Asked::of_compartment(&owner, member, pairs, handling, &bases)?,
        None => Asked::of_whole_compartment(&owner, pairs, handling, &bases)?,
    };
    answer(&app, &scope, &bases, &asked, layout).await
}
