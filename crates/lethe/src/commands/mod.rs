//! One file per sub-command.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod certificate;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod copy;
pub(crate) mod demo;
pub(crate) mod erase_files;
pub(crate) mod export;
pub(crate) mod hold;
pub(crate) mod import;
pub(crate) mod migrate;
pub(crate) mod purge;
pub(crate) mod purge_evidence;
mod purge_selected;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod serve;
pub(crate) mod user;
pub(crate) mod version;
pub(crate) mod worker;

mod store_command;
