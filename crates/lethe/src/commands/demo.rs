//! `lethe demo`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::demo::{DemoPlan, run_demo};

/// Show the main job: a throw-away server, two accounts, a purge of one, and the proof
///
/// Nothing is left behind. Exit 0 only if every proof holds.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Patients of each account; each has about 60 resources
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    patients: u64,
    /// What is generated: the same seed gives the same resources
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Stay up afterwards, with curl lines to go on with
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        run_demo(&DemoPlan { patients: self.patients, seed: self.seed, keep: self.keep }).await
    }
}
