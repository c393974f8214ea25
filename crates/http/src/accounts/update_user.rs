//! `PUT /user-management/v1/user`: switches a user on or off.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use lethe_auth::{AccountId, Client, User};
use lethe_fhir::IssueType;
use lethe_store::UserFilter;
use serde::Serialize;

use super::{answer::UserRefusal, client_credentials::client_of, list_users::account_id_of, parameters::Parameters};
use crate::{App, error::ApiError};

/// Keys in the printed order.
#[derive(Serialize)]
pub(super) struct UpdatedUser {
    success: bool,
    oneup_user_id: AccountId,
}

/// Switches the user that `app_user_id` or `oneup_user_id` names on or off. Switched off, its codes and tokens are worthless from the next
/// call on, and for good.
///
/// # Errors
/// The client has no such user, or `active` is neither `true` nor `false`.
pub(super) async fn update_user(State(app): State<Arc<App>>, request: Request) -> Result<Json<UpdatedUser>, UserRefusal> {
    let parameters = Parameters::read(request).await?;
    let client = client_of(&app, &parameters).await?;
    let is_active = match parameters.required("active")? {
        "true" => true,
        "false" => false,
        _ => return Err(ApiError::bad(IssueType::Value, "active must be true or false").into()),
    };
    let user = named_user(&app, &client, &parameters).await?;
    if !app.store.set_user_active(&client.client_id, user.account_id, is_active).await? {
        return Err(UserRefusal::unknown_user());
    }
    Ok(Json(UpdatedUser { success: true, oneup_user_id: user.account_id }))
}

/// The user that `app_user_id`, `oneup_user_id`, or both alike, name.
///
/// # Errors
/// Neither is given, or the client has no such user.
pub(super) async fn named_user(app: &App, client: &Client, parameters: &Parameters) -> Result<User, UserRefusal> {
    let filter = UserFilter {
        account_id: account_id_of(parameters)?,
        app_user_id: parameters.optional("app_user_id")?.map(str::to_owned),
        after: None,
        count: 1,
    };
    if filter.account_id.is_none() && filter.app_user_id.is_none() {
        return Err(ApiError::bad(IssueType::Required, "app_user_id is missing: name the user by it, or by oneup_user_id").into());
    }
    app.store.users(&client.client_id, &filter).await?.pop().ok_or_else(UserRefusal::unknown_user)
}
