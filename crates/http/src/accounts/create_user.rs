//! `POST /user-management/v1/user`: a new user, with the code that buys its first tokens.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use lethe_fhir::IssueType;
use lethe_store::AddedUser;

use super::{
    answer::{UserRefusal, UserWithCode},
    client_credentials::client_of,
    parameters::Parameters,
};
use crate::{App, error::ApiError};

/// Characters of an `app_user_id`.
const APP_USER_ID_CHARS_MAX: usize = 255;

/// Creates the user that `app_user_id` names.
///
/// # Errors
/// The client already has a user of that name, which then stays as it is; or the name is no name.
pub(super) async fn create_user(State(app): State<Arc<App>>, request: Request) -> Result<Json<UserWithCode>, UserRefusal> {
    let parameters = Parameters::read(request).await?;
    let client = client_of(&app, &parameters).await?;
    let app_user_id = valid_app_user_id(parameters.required("app_user_id")?)?;
    match app.store.add_user(&client.client_id, app_user_id).await? {
        AddedUser::Added(user) => Ok(Json(UserWithCode::issue(&app, user).await?)),
        AddedUser::Exists(_) => Err(ApiError::bad(IssueType::Conflict, "this user already exists").into()),
    }
}

fn valid_app_user_id(text: &str) -> Result<&str, ApiError> {
    if text.chars().count() > APP_USER_ID_CHARS_MAX {
        return Err(ApiError::bad(IssueType::TooLong, format!("app_user_id has at most {APP_USER_ID_CHARS_MAX} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(ApiError::bad(IssueType::Value, "app_user_id has no control characters"));
    }
    Ok(text)
}
