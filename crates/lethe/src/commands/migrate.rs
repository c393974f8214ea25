//! `lethe migrate`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::open_store::StoreOptions;

/// Bring the store's schema up to date; every other command does so too when it opens the store
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    store: StoreOptions,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        self.store.make_tables().await?;
        eprintln!("The store in {} has the schema of lethe {}.", self.store.place(), env!("CARGO_PKG_VERSION"));
        Ok(ExitCode::SUCCESS)
    }
}
