//! `lethe worker`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use lethe_jobs::PaceBounds;
use tokio::signal::unix::{SignalKind, signal};

use super::serve::parse_public_url;
use crate::{
    open_store::StoreOptions,
    work::{WorkOptions, Working},
};

/// Run a worker beside the servers of a database: it runs purges and plans exports, and answers no calls
///
/// SIGTERM or SIGINT: it takes up nothing more, running batches finish, exit 0. A second one: exit at once.
#[derive(Debug, Args)]
pub(crate) struct WorkerCommand {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    work: WorkOptions,
    /// Where clients reach the servers, without /r4, as it stands in certificates
    #[arg(long, value_name = "URL", value_parser = parse_public_url, default_value = "http://127.0.0.1:8080")]
    public_url: String,
}

impl WorkerCommand {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        self.store.refuse_directory("lethe worker", "lethe serve runs the jobs of an embedded store, in its own process")?;
        // Before anything is started, so that no signal is missed.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let options = self.work.over(self.store);
        let store = options.open_for_work().await?;
        let mut working = Working::start(store, &options, &self.work, PaceBounds::default(), &self.public_url).await?;
        eprintln!("Lethe {} works at the jobs of {}", env!("CARGO_PKG_VERSION"), options.place());
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            error = working.died() => return Err(error),
        }
        eprintln!("Stopping: running batches finish first. A second signal stops at once.");
        tokio::select! {
            stopped = working.stop(async {}) => stopped?,
            // Leaving by return would wait for what is under way.
            _ = terminate.recv() => std::process::exit(1),
            _ = interrupt.recv() => std::process::exit(1),
        }
        eprintln!("Stopped.");
        Ok(ExitCode::SUCCESS)
    }
}
