//! The binary's library: configuration, wiring, command line, and the generated population that the benchmark shares.
//!
//! The only crate that knows every other: here the ports get their adapter, the router its ports, and the worker its store.

pub mod byte_search;
pub mod command_line;
pub mod population;
pub mod server;

mod api_client;
mod audit_event;
mod certificate_keys;
mod certificate_report;
mod commands;
mod configuration;
mod demo;
mod failure;
mod import;
mod journal;
mod open_store;
mod private_file;
mod progress;
mod purge_watch;
mod recovery;
mod restore;
mod restore_leftovers;
mod retention;
mod secret_key;
mod terminal;
mod work;
