//! `GET /user-management/v1/user`: the client's users.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use lethe_auth::{AccountId, User};
use lethe_fhir::{IssueType, limits::PAGE_COUNT_MAX};
use lethe_store::UserFilter;
use serde::Serialize;

use super::{answer::UserRefusal, client_credentials::client_of, parameters::Parameters};
use crate::{App, error::ApiError};

/// Where users are listed, created and updated.
pub(super) const PATH: &str = "/user-management/v1/user";

/// One page of users. The printed keys in the printed order, then our own.
#[derive(Serialize)]
pub(super) struct UserPage {
    success: bool,
    entry: Vec<UserEntry>,
    /// The next page, while there is one. It carries no credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct UserEntry {
    oneup_user_id: AccountId,
    app_user_id: String,
    active: bool,
}

impl From<User> for UserEntry {
    fn from(user: User) -> Self {
        Self { oneup_user_id: user.account_id, app_user_id: user.app_user_id, active: user.is_active }
    }
}

/// Lists users in the order of their numbers, at most `_count` (1 to 1,000, which is also what its absence means) and only those `after` a
/// number; `oneup_user_id` and `app_user_id` narrow the list.
///
/// # Errors
/// A parameter that is empty or not understood: left out, it would let through everything.
pub(super) async fn list_users(State(app): State<Arc<App>>, request: Request) -> Result<Json<UserPage>, UserRefusal> {
    let parameters = Parameters::read(request).await?;
    let client = client_of(&app, &parameters).await?;
    let count = page_count(&parameters)?;
    let filter = UserFilter {
        account_id: account_id_of(&parameters)?,
        app_user_id: parameters.optional("app_user_id")?.map(str::to_owned),
        after: parsed(&parameters, "after")?,
        // One more than the page holds tells whether there is another.
        count: count + 1,
    };
    let mut users = app.store.users(&client.client_id, &filter).await?;
    let has_next = users.len() > count;
    users.truncate(count);
    let next = users.last().filter(|_| has_next).map(|last| format!("{}{PATH}?_count={count}&after={}", app.public_url, last.account_id));
    Ok(Json(UserPage { success: true, entry: users.into_iter().map(UserEntry::from).collect(), next }))
}

/// The account that `oneup_user_id` names, if it is given.
///
/// # Errors
/// It is no number.
pub(super) fn account_id_of(parameters: &Parameters) -> Result<Option<AccountId>, ApiError> {
    parsed(parameters, "oneup_user_id")
}

fn parsed(parameters: &Parameters, name: &str) -> Result<Option<AccountId>, ApiError> {
    let bad = |_| ApiError::bad(IssueType::Value, format!("{name} must be a oneup_user_id: a whole number, such as 251"));
    parameters.optional(name)?.map(|text| text.parse().map_err(bad)).transpose()
}

fn page_count(parameters: &Parameters) -> Result<usize, ApiError> {
    match parameters.optional("_count")?.map(str::parse) {
        None => Ok(PAGE_COUNT_MAX),
        Some(Ok(count @ 1..)) => Ok(PAGE_COUNT_MAX.min(count)),
        Some(Ok(0) | Err(_)) => Err(ApiError::bad(IssueType::Value, format!("_count must be a whole number from 1 to {PAGE_COUNT_MAX}"))),
    }
}
