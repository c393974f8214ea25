//! `POST /oauth2/token`: buys tokens with a code or a refresh token (RFC 6749 §4.1.3, §5, §6).

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use lethe_auth::{Client, EXPIRES_IN_S, SecretKind, TokenPair};
use lethe_fhir::IssueType;
use lethe_store::{RefreshUse, StoreError};
use serde::Serialize;
use serde_json::json;

use super::{
    answer::{reworded, text_of},
    client_credentials::client_of,
    parameters::Parameters,
};
use crate::{App, error::ApiError, randomness::random_bytes};

/// Keys in the printed order.
#[derive(Serialize)]
pub(super) struct TokenAnswer {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    refresh_token: String,
    scope: &'static str,
}

/// Issues a pair of tokens. A code and a refresh token serve once; who presents a refresh token again loses all that came of its code.
///
/// A client that is registered for header credentials gets tokens too; it is told with its first FHIR call that it may not use them.
///
/// # Errors
/// The errors of RFC 6749 §5.2. Nothing was issued, and nothing used up, except by a refresh token's reuse.
pub(super) async fn issue_tokens(State(app): State<Arc<App>>, request: Request) -> Result<Json<TokenAnswer>, TokenError> {
    let parameters = Parameters::read(request).await?;
    let client = client_of(&app, &parameters).await?;
    let grant = Grant::of(&parameters)?;
    let pair = TokenPair::generate(random_bytes()?, random_bytes()?);
    grant.redeem(&app, &client, &pair).await?;
    Ok(Json(TokenAnswer {
        access_token: pair.access_token.expose().to_owned(),
        token_type: "Bearer",
        expires_in: EXPIRES_IN_S,
        refresh_token: pair.refresh_token.expose().to_owned(),
        scope: "user/*.*",
    }))
}

/// What buys the tokens.
enum Grant<'a> {
    Code(&'a str),
    RefreshToken(&'a str),
}

impl<'a> Grant<'a> {
    fn of(parameters: &'a Parameters) -> Result<Self, TokenError> {
        match parameters.required("grant_type")? {
            "authorization_code" => Ok(Self::Code(parameters.required("code")?)),
            "refresh_token" => Ok(Self::RefreshToken(parameters.required("refresh_token")?)),
            _ => Err(TokenError {
                error: "unsupported_grant_type",
                refusal: ApiError::bad(IssueType::NotSupported, "grant_type must be authorization_code or refresh_token"),
            }),
        }
    }

    /// Uses it up and stores the pair, both or neither.
    async fn redeem(&self, app: &App, client: &Client, pair: &TokenPair) -> Result<(), TokenError> {
        let issued = pair.issued(&app.secrets, app.clock.now().as_unix_ms());
        match self {
            Self::Code(code) => {
                let code_hash = app.secrets.hash(SecretKind::AuthCode, code);
                match app.store.take_code(&code_hash, &client.client_id, &issued).await? {
                    Some(_) => Ok(()),
                    None => Err(TokenError::invalid_grant(
                        "the code is unknown, used or expired, or its user is not active: get a fresh one from \
                         /user-management/v1/user/auth-code",
                    )),
                }
            }
            Self::RefreshToken(token) => {
                let refresh_hash = app.secrets.hash(SecretKind::RefreshToken, token);
                match app.store.use_refresh_token(&refresh_hash, &client.client_id, &issued).await? {
                    RefreshUse::Renewed(_) => Ok(()),
                    RefreshUse::Reused => Err(TokenError::invalid_grant(
                        "the refresh token was used before; in case it was stolen, every token that came of it is revoked: get a fresh code \
                         from /user-management/v1/user/auth-code",
                    )),
                    RefreshUse::Invalid => Err(TokenError::invalid_grant(
                        "the refresh token is unknown, expired or revoked, or its user is not active: get a fresh code from \
                         /user-management/v1/user/auth-code",
                    )),
                }
            }
        }
    }
}

/// An error answer of RFC 6749 §5.2.
pub(super) struct TokenError {
    /// Its word in the RFC.
    error: &'static str,
    /// What it is in our own words, and its status code.
    refusal: ApiError,
}

impl TokenError {
    fn invalid_grant(text: &str) -> Self {
        Self { error: "invalid_grant", refusal: ApiError::bad(IssueType::Invalid, text) }
    }
}

impl<E: Into<ApiError>> From<E> for TokenError {
    fn from(error: E) -> Self {
        match error.into() {
            // The RFC knows one answer to a client that does not prove itself, switched off or not.
            ApiError::Unauthenticated(text) | ApiError::Forbidden(text) => {
                Self { error: "invalid_client", refusal: ApiError::Unauthenticated(text) }
            }
            refusal @ ApiError::Store(StoreError::Unavailable(_) | StoreError::OutOfReach(_)) => {
                Self { error: "temporarily_unavailable", refusal }
            }
            refusal @ (ApiError::Store(_) | ApiError::Defect) => Self { error: "server_error", refusal },
            refusal => Self { error: "invalid_request", refusal },
        }
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let text = text_of(&self.refusal);
        reworded(self.refusal, &json!({ "error": self.error, "error_description": text }))
    }
}
