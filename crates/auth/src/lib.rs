//! Clients, users, secrets and tokens; who may act for which account. Knows no HTTP, no clock, no randomness, no storage.
//!
//! A request is judged in two steps. [`WayIn::of`] says which way a request takes, from what it carries alone. Then, with what the store
//! knows of it, [`scope_by_bearer`], or [`client_by_secret`] and [`scope_by_headers`], say for whom it acts. Every refusal is a [`Refusal`].

mod authorize;
mod identity;
mod refusal;
mod secret;
mod tokens;
mod way_in;

pub use authorize::{client_by_secret, scope_by_bearer, scope_by_headers};
pub use identity::{AccountId, AuthMethods, Client, ClientId, Scope, User};
pub use refusal::Refusal;
pub use secret::{KeyedHash, Secret, SecretKey, SecretKind};
pub use tokens::{ACCESS_TOKEN_LIFETIME_MS, AUTH_CODE_LIFETIME_MS, EXPIRES_IN_S, IssuedTokens, REFRESH_TOKEN_LIFETIME_MS, TokenPair};
pub use way_in::{ActingFor, Presented, WayIn};
