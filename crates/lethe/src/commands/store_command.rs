//! What commands that look into the store and print something have in common.

use clap::Args;
use serde_json::Value;

use crate::{open_store::StoreOptions, terminal};

/// Where to look, and how to print.
#[derive(Debug, Args)]
pub(super) struct StoreCommand {
    #[command(flatten)]
    pub(super) store: StoreOptions,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl StoreCommand {
    /// Prints one object, as JSON or one member a line.
    pub(super) fn print(&self, object: &Value) {
        if self.json { println!("{object}") } else { terminal::print_members(object) }
    }
}
