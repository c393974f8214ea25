//! How user management answers: `success` first, and no OperationOutcome.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use lethe_auth::{AccountId, Secret, SecretKind, User};
use serde::Serialize;
use serde_json::{Value, json};

use crate::randomness::random_bytes;
use crate::{App, error::ApiError};

/// A user with a fresh code: the answer to creating a user, and to asking for another code. Keys in the printed order.
#[derive(Serialize)]
pub(super) struct UserWithCode {
    success: bool,
    code: String,
    oneup_user_id: AccountId,
    app_user_id: String,
    active: bool,
}

impl UserWithCode {
    /// Stores a fresh code for the user.
    ///
    /// # Errors
    /// The store fails; then no code was made.
    pub(super) async fn issue(app: &App, user: User) -> Result<Self, ApiError> {
        let code = Secret::generate(SecretKind::AuthCode, random_bytes()?);
        let expires_on_ms = app.clock.now().plus_ms(lethe_auth::AUTH_CODE_LIFETIME_MS).as_unix_ms();
        app.store.put_code(&app.secrets.hash(SecretKind::AuthCode, code.expose()), user.account_id, expires_on_ms).await?;
        Ok(Self {
            success: true,
            code: code.expose().to_owned(),
            oneup_user_id: user.account_id,
            app_user_id: user.app_user_id,
            active: user.is_active,
        })
    }
}

/// A refusal, worded as `{"success":false,"error":"…"}`.
pub(super) struct UserRefusal(pub(super) ApiError);

impl UserRefusal {
    /// There is no such user.
    pub(super) fn unknown_user() -> Self {
        Self(ApiError::bad(lethe_fhir::IssueType::NotFound, "this user does not exist"))
    }
}

impl<E: Into<ApiError>> From<E> for UserRefusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for UserRefusal {
    fn into_response(self) -> Response {
        let error = text_of(&self.0);
        reworded(self.0, &json!({ "success": false, "error": error }))
    }
}

/// What a refusal tells the client.
pub(super) fn text_of(refusal: &ApiError) -> String {
    let texts: Vec<String> = refusal.outcome().issues.into_iter().map(|issue| issue.text).collect();
    texts.join("; ")
}

/// A refusal with its status code and headers, but another body.
pub(super) fn reworded(refusal: ApiError, body: &Value) -> Response {
    let mut response = refusal.into_response();
    *response.body_mut() = Body::from(body.to_string());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if headers.contains_key(header::WWW_AUTHENTICATE) {
        // A client proves itself here, and of the ways to do so this is the one that has a name.
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"lethe\", charset=\"UTF-8\""));
    }
    response
}
