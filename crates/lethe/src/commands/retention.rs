//! `lethe retention`.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use lethe_auth::Scope;
use lethe_fhir::LocalBases;
use lethe_store::Preview;
use serde_json::{Map, Value, json};

use super::{serve::parse_public_url, store_command::StoreCommand};
use crate::{
    failure::UsageError,
    retention::{Begun, Due, Kept, RetentionOptions, all_due, preview, start_in_turn},
    terminal::grouped,
};

/// How long a purge that was started may wait for a server to take it up, before the next rule is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show what each rule of retention would remove now, and remove nothing; may run beside a server
///
/// With --start the purges are started, one after the other where they are of the same users; a running server carries them out. What could not be
/// started because another purge is in progress is told, and the status is 1. lethe serve keeps the rules by itself, once a day.
#[derive(Debug, Args)]
pub(crate) struct Retention {
    #[command(flatten)]
    rules: RetentionOptions,
    /// Start the purges
    #[arg(long)]
    start: bool,
    /// Where clients reach the server, without /r4: absolute references to it are taken as local
    #[arg(long, value_name = "URL", value_parser = parse_public_url)]
    public_url: Option<String>,
    #[command(flatten)]
    output: StoreCommand,
}

impl Retention {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        if self.rules.retention.is_empty() {
            return Err(UsageError(
                "there is no rule: give one with --retention, or list them in lethe.toml as retention = [\"…\"]".to_owned(),
            )
            .into());
        }
        let opened = self.output.store.open().await?;
        let store = opened.store.as_ref();
        let bases = LocalBases::new(self.public_url.as_deref());
        let (mut told, mut begun, mut is_all_started) = (Vec::new(), Begun::new(), true);
        for due in all_due(store, &self.rules.retention).await? {
            let now = opened.clock.now();
            let seen = preview(store, &due, &bases, now).await?;
            let started = if self.start {
                Some(start_in_turn(store, &due, &bases, opened.clock.as_ref(), &mut begun, PATIENCE).await?)
            } else {
                None
            };
            is_all_started &= !matches!(started, Some(Kept::Later(_)));
            if self.output.json {
                told.push(to_json(&due, &seen, started.as_ref()));
            } else {
                print(&due, &seen, started.as_ref());
            }
        }
        if self.output.json {
            println!("{}", json!({ "rules": told }));
        }
        if is_all_started {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!(
            "Not every rule was started: run this again when the purges that are in the way have ended. lethe serve carries them out."
        );
        Ok(ExitCode::FAILURE)
    }
}

fn removed(preview: &Preview) -> u64 {
    preview.counts.iter().map(|(_, counts)| counts.removed()).sum()
}

fn to_json(due: &Due, preview: &Preview, kept: Option<&Kept>) -> Value {
    let counts: Map<String, Value> = preview
        .counts
        .iter()
        .map(|(resource_type, counts)| {
            let counts = json!({ "removed": counts.removed(), "versions": counts.versions, "held": counts.held });
            (resource_type.to_string(), counts)
        })
        .collect();
    let (job, in_the_way) = match kept {
        Some(Kept::Started(job)) => (Some(job), None),
        Some(Kept::Later(job)) => (None, Some(job)),
        Some(Kept::Nothing) | None => (None, None),
    };
    json!({
        "rule": due.rule.to_string(),
        "client": due.owner.client_id().0,
        "user": due.owner.account_id().map(|account_id| account_id.0),
        "removed": removed(preview),
        "counts": counts,
        "job": job,
        "waitsFor": in_the_way,
    })
}

fn print(due: &Due, preview: &Preview, kept: Option<&Kept>) {
    let whose = match &due.owner {
        Scope::Account { account_id, .. } => format!("user {account_id}"),
        Scope::Client { client_id } => format!("all users of client {client_id}"),
    };
    println!("{} — {whose}: {} resources", due.rule, grouped(removed(preview)));
    for (resource_type, counts) in &preview.counts {
        println!(
            "  {resource_type:<24} {} resources, {} versions, {} on hold",
            grouped(counts.removed()),
            grouped(counts.versions),
            counts.held
        );
    }
    match kept {
        Some(Kept::Started(job)) => println!("  started: {job}"),
        Some(Kept::Later(job)) => println!("  not started: purge {job} is in progress"),
        Some(Kept::Nothing) | None => {}
    }
}
