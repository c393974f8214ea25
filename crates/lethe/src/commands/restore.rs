//! `lethe restore`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lethe_jobs::JobState;
use lethe_store::PurgeJob;
use serde_json::{Value, json};

use crate::{
    open_store::StoreOptions,
    recovery::{Applied, JournalOptions, Recovered},
    restore::{Restoring, reapply, restore},
    terminal::grouped,
};

/// Put back a copy of the store and apply every purge that is younger than it; only while no server runs
///
/// What was purged since the copy was made is removed from it again, before anything can be read. The server refuses to serve a copy that was
/// put back by other means, until --reapply has done the same.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// A file that lethe backup has made
    #[arg(value_name = "FILE", required_unless_present = "reapply", conflicts_with = "reapply")]
    file: Option<PathBuf>,
    /// Apply younger purges to the database that is in the data directory
    #[arg(long)]
    reapply: bool,
    /// Put the copy in the place of the database that is there; what was written since the copy was made is lost
    #[arg(long, conflicts_with = "reapply")]
    replace: bool,
    /// The purge journal is lost or damaged: begin another. What was purged since the copy was made stays in it
    #[arg(long)]
    new_journal: bool,
    /// Who operates the server, for the certificates of what is removed again
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    journal: JournalOptions,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let restoring = Restoring {
            store: &self.store,
            journal: self.journal.path(self.store.key_directory()),
            is_replacing: self.replace,
            is_new_journal: self.new_journal,
            organization: self.organization.as_deref(),
        };
        let recovered = match &self.file {
            Some(file) => restore(&restoring, file).await?,
            None => reapply(&restoring).await?,
        };
        if self.json {
            let applied: Vec<Value> = recovered.applied.iter().map(to_json).collect();
            println!(
                "{}",
                json!({ "restored": self.file, "applied": applied, "ended": recovered.ended.iter().map(ended_json).collect::<Vec<_>>() })
            );
        } else {
            self.print(&recovered);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, recovered: &Recovered) {
        for Applied { recorded, resources } in &recovered.applied {
            let end = &recorded.end;
            println!("applied purge {} of {} ({}): {} resources of the copy removed", end.job, end.on, end.outcome, grouped(*resources));
        }
        for job in &recovered.ended {
            println!("purge {} was in progress in the copy, and {}", job.job_id, next_of(job));
        }
        if recovered.applied.is_empty() {
            println!("No purge on record is younger than the copy.");
        }
        println!("The store in {} may be served. Next: lethe serve{}", self.store.place(), self.store.flag());
    }
}

/// What may be done about a job that was ended because it was in progress in the copy.
fn next_of(job: &PurgeJob) -> &'static str {
    match job.state {
        JobState::Failed if job.has_forgotten_question() => {
            "has failed: it had not been planned, and which patient, Group or conditions were meant is not kept. Its owner may start a new one"
        }
        JobState::Failed => "has failed: its owner may retry it",
        JobState::Queued | JobState::Running | JobState::Canceling | JobState::Successful | JobState::Canceled => {
            "was to be canceled: it is canceled"
        }
    }
}

fn ended_json(job: &PurgeJob) -> Value {
    json!({ "job": job.job_id, "status": job.state.status(), "mayRetry": job.state == JobState::Failed && !job.has_forgotten_question() })
}

fn to_json(applied: &Applied) -> Value {
    let end = &applied.recorded.end;
    json!({ "job": end.job, "endedOn": end.on, "status": end.outcome, "resources": applied.resources })
}
