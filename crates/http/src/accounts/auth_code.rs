//! `POST /user-management/v1/user/auth-code`: a fresh code for a user that exists.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use lethe_fhir::IssueType;

use super::{
    answer::{UserRefusal, UserWithCode},
    client_credentials::client_of,
    parameters::Parameters,
    update_user::named_user,
};
use crate::{App, error::ApiError};

/// Makes a code for the user that `app_user_id` or `oneup_user_id` names. Codes made before stay good.
///
/// # Errors
/// The client has no such user, or it is not active: its code would buy nothing.
pub(super) async fn create_auth_code(State(app): State<Arc<App>>, request: Request) -> Result<Json<UserWithCode>, UserRefusal> {
    let parameters = Parameters::read(request).await?;
    let client = client_of(&app, &parameters).await?;
    let user = named_user(&app, &client, &parameters).await?;
    if !user.is_active {
        return Err(ApiError::bad(IssueType::BusinessRule, "this user is not active: update it with active=true first").into());
    }
    Ok(Json(UserWithCode::issue(&app, user).await?))
}
