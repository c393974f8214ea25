//! Who may set and lift holds: a client that was given the right to, by its id and secret.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use lethe_auth::ClientId;

use crate::{
    App,
    authenticate::{prove_client, single_header},
    error::ApiError,
};

/// An extractor: the call comes from a client that may set and lift holds on the accounts of its users.
pub struct Administrator {
    /// The client.
    pub client_id: ClientId,
}

impl FromRequestParts<Arc<App>> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let header = |name| single_header(&parts.headers, name);
        let (Some(client_id), Some(client_secret)) = (header("client_id")?, header("client_secret")?) else {
            let text = "holds are set and lifted with the headers client_id and client_secret of a client that may; a bearer token acts for \
                        a user, who may not";
            return Err(ApiError::Unauthenticated(text.to_owned()));
        };
        let client = prove_client(app, &ClientId(client_id.to_owned()), client_secret).await?;
        if !client.may_hold {
            let text = "this client may not set, see or lift holds: whoever runs the server can allow it, with 'lethe client allow'";
            return Err(ApiError::Forbidden(text.to_owned()));
        }
        Ok(Self { client_id: client.client_id })
    }
}
