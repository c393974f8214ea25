//! Which client makes an account call.

use lethe_auth::{Client, ClientId};

use super::parameters::Parameters;
use crate::{App, authenticate::prove_client, error::ApiError};

/// The client that the call proves to come from. It may be registered for either way in: these calls come before both.
///
/// # Errors
/// Credentials are missing or wrong, or the client is switched off.
pub(super) async fn client_of(app: &App, parameters: &Parameters) -> Result<Client, ApiError> {
    match (parameters.get("client_id"), parameters.get("client_secret")) {
        (Some(client_id), Some(client_secret)) => prove_client(app, &ClientId(client_id.to_owned()), client_secret).await,
        _ => Err(ApiError::Unauthenticated(
            "client_id and client_secret are needed, as form fields, in a JSON body, in the query or as headers".to_owned(),
        )),
    }
}
