//! Why a request may not act. Which status code each becomes is for the edge to say.

use thiserror::Error;

/// Why a request may not act. The text is for the person who reads it; it carries nothing secret, and nothing that was not sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// It carries neither a bearer token nor header credentials.
    #[error("authentication is missing: send 'Authorization: Bearer <token>', or the headers client_id, client_secret and x-oneup-user-id")]
    NoCredentials,
    /// It carries one half of the header credentials.
    #[error("the header credentials are incomplete: client_id and client_secret are both needed")]
    HalfCredentials,
    /// `Authorization` is there but holds no bearer token.
    #[error("the Authorization header holds no bearer token: send 'Authorization: Bearer <token>'")]
    NotABearerToken,
    /// The token is unknown, expired or revoked, or its user or client is not active.
    #[error("the access token is unknown, expired or revoked: get a new one with its refresh token or a new code")]
    InvalidToken,
    /// Unknown client or wrong secret: which of them, nobody is told.
    #[error("client_id or client_secret is wrong")]
    InvalidClient,
    /// The secret is right, but the client is switched off.
    #[error("this client is switched off: ask whoever runs the server")]
    InactiveClient,
    /// A bearer token of a client that is registered for header credentials.
    #[error(
        "this client is registered for header credentials and not for bearer tokens: send client_id, client_secret and x-oneup-user-id"
    )]
    BearerNotAllowed,
    /// Header credentials of a client that is registered for bearer tokens.
    #[error("this client is registered for bearer tokens and not for header credentials: send 'Authorization: Bearer <token>'")]
    HeadersNotAllowed,
    /// Header credentials that do not say for whom.
    #[error(
        "x-oneup-user-id is missing: with client_id and client_secret, send x-oneup-user-id: <oneup_user_id> to act for one user, \
         or x-oneup-user-id: client to act for all users of the client"
    )]
    UserNotSaid,
    /// `x-oneup-user-id` is neither a number nor `client`.
    #[error("x-oneup-user-id must be the number of a user (its oneup_user_id), or the word 'client' for all users of the client")]
    UserNotUnderstood,
    /// The user is unknown, of another client, or not active: which of them, nobody is told.
    #[error("this client may not act for the user that x-oneup-user-id names: it has no active user of that oneup_user_id")]
    UserNotAllowed,
}
