//! Clients, users, secrets and tokens; who may act for which account. Knows no HTTP, no clock, no randomness, no storage.

mod identity;

pub use identity::{AccountId, AuthMethods, Client, ClientId, Scope, User};
