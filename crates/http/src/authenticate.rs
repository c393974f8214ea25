//! For whom a FHIR or purge call acts: reads its credentials, asks the store about them, lets `lethe_auth` decide.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use lethe_auth::{
    ActingFor, Client, ClientId, Presented, Refusal, Scope, SecretKind, WayIn, client_by_secret, scope_by_bearer, scope_by_headers,
};
use lethe_fhir::IssueType;

use crate::{App, error::ApiError};

/// An extractor: the caller is who it says, and acts for this scope. Every FHIR and purge call asks for it.
///
/// By bearer token the scope is the token's user. By headers it is what `x-oneup-user-id` says; without it the call is refused, and never
/// taken to mean everybody.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The accounts for which the call acts.
    pub scope: Scope,
}

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let scope = match WayIn::of(presented(&parts.headers)?)? {
            WayIn::Bearer { token } => by_bearer(app, token).await?,
            WayIn::Headers { client_id, client_secret, acting_for } => {
                let client = prove_client(app, &client_id, client_secret).await?;
                by_headers(app, &client, acting_for).await?
            }
        };
        Ok(Self { scope })
    }
}

/// The client that an id and a secret prove.
///
/// # Errors
/// The same, after the same work, for an unknown client and a wrong secret; another when the client is switched off.
pub(crate) async fn prove_client(app: &App, client_id: &ClientId, client_secret: &str) -> Result<Client, ApiError> {
    // Hashed before the store is asked, so that an unknown client costs as much as a wrong secret.
    let presented = app.secrets.hash(SecretKind::ClientSecret, client_secret);
    let found = app.store.client(client_id).await?;
    Ok(client_by_secret(found, &presented)?)
}

async fn by_bearer(app: &App, token: &str) -> Result<Scope, ApiError> {
    let access_hash = app.secrets.hash(SecretKind::AccessToken, token);
    let found = app.store.access_token(&access_hash).await?;
    Ok(scope_by_bearer(found.as_ref().map(|token| (&token.client, &token.user)))?)
}

async fn by_headers(app: &App, client: &Client, acting_for: ActingFor) -> Result<Scope, ApiError> {
    let user = match acting_for {
        ActingFor::User(account_id) => app.store.user(account_id).await?,
        ActingFor::AllUsers => None,
    };
    Ok(scope_by_headers(client, acting_for, user.as_ref())?)
}

fn presented(headers: &HeaderMap) -> Result<Presented<'_>, ApiError> {
    Ok(Presented {
        authorization: single_header(headers, "authorization")?,
        client_id: single_header(headers, "client_id")?,
        client_secret: single_header(headers, "client_secret")?,
        oneup_user_id: single_header(headers, "x-oneup-user-id")?,
    })
}

/// The value of a header that says who is calling. Sent twice, nobody could tell which was meant.
pub(crate) fn single_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(ApiError::bad(IssueType::Invalid, format!("the header {name} is there more than once: send it once")));
    }
    let text = first.map(|value| value.to_str()).transpose();
    text.map_err(|_| ApiError::bad(IssueType::Value, format!("the header {name} may hold visible ASCII characters only")))
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::NoCredentials
            | Refusal::HalfCredentials
            | Refusal::NotABearerToken
            | Refusal::InvalidToken
            | Refusal::InvalidClient => Self::Unauthenticated(text),
            Refusal::InactiveClient | Refusal::BearerNotAllowed | Refusal::HeadersNotAllowed | Refusal::UserNotAllowed => {
                Self::Forbidden(text)
            }
            Refusal::UserNotSaid => Self::bad(IssueType::Required, text),
            Refusal::UserNotUnderstood => Self::bad(IssueType::Value, text),
        }
    }
}
