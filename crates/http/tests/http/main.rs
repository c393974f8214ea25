//! The edge as its callers see it, called without a socket. One binary, for each would be linked by itself.

// Clippy knows tests by their attribute; what they share has none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
mod arbitrary_input;
mod authentication;
mod bulk_export;
mod bulk_import;
mod bundles;
mod caller;
mod capabilities;
mod certificates;
mod conditional;
mod conditional_entries;
mod edge;
mod everything;
mod fhir_rest;
mod holds;
mod negotiation;
mod pages;
mod patch;
mod purge_async;
mod purge_contract;
mod purge_listed;
mod purge_preview;
mod search;
mod test_server;
mod token_endpoint;
mod validate;
