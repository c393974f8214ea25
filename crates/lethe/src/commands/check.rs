//! `lethe check`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use lethe_store::{Check as Checked, JobId};
use serde_json::json;

use super::store_command::StoreCommand;
use crate::{failure::Advice, restore_leftovers, terminal::Paint};

/// Verify the store against its invariants, or look for what a purge should have removed; may run beside a server
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Look into every residence for what this purge job should have removed
    #[arg(long, value_name = "JOB")]
    residue: Option<JobId>,
    #[command(flatten)]
    output: StoreCommand,
}

impl Check {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let store = self.output.store.open().await?.store;
        let mut checks: Vec<(String, Option<u64>)> = match self.residue {
            None => store.check().await?.into_iter().map(|Checked { holds, violations }| (holds.to_owned(), violations)).collect(),
            Some(job_id) => {
                let unknown = || Advice::new(format!("there is no purge job {job_id}"), "lethe purge list shows the jobs of a user");
                let residue = store.residue(job_id).await?.with_context(unknown)?;
                residue.into_iter().map(|found| (format!("nothing of it is left in '{}'", found.residence), Some(found.rows))).collect()
            }
        };
        if !self.output.store.is_shared() {
            let data = &self.output.store.data;
            let leftovers = restore_leftovers::count(data).with_context(|| format!("{} cannot be read", data.display()))?;
            let no_leftovers =
                "no copy of the store is left in its directory by a restore that was interrupted (the next lethe serve removes it)";
            checks.push((no_leftovers.to_owned(), Some(leftovers)));
        }
        if self.output.json {
            let lines: Vec<_> = checks.iter().map(|(holds, violations)| json!({ "holds": holds, "violations": violations })).collect();
            println!("{}", json!({ "checks": lines }));
        } else {
            checks.iter().for_each(|(holds, violations)| print(holds, *violations));
        }
        let is_sound = checks.iter().all(|(_, violations)| violations.is_none_or(|violations| violations == 0));
        Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print(holds: &str, violations: Option<u64>) {
    let paint = Paint::for_stdout();
    match violations {
        Some(0) => println!("{} {holds}", paint.good("✓")),
        Some(violations) => println!("{} {holds}: {violations} violations", paint.bad("✗")),
        None => println!("{} {holds}: not looked at while a purge is in progress", paint.dim("–")),
    }
}
