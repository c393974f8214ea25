//! `lethe retention`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use lethe_auth::Scope;
use lethe_fhir::LocalBases;
use lethe_store::Preview;
use serde_json::{Map, Value, json};

use super::{serve::parse_public_url, store_command::StoreCommand};
use crate::{
    failure::UsageError,
    retention::{Due, Kept, RetentionOptions, all_due, preview, start},
    terminal::grouped,
};

/// Show what each rule of retention would remove now, and remove nothing; may run beside a server
///
/// With --start the purges are started; a running server carries them out. lethe serve keeps the rules by itself, once a day.
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
        let mut told = Vec::new();
        for due in all_due(store, &self.rules.retention).await? {
            let now = opened.clock.now();
            let seen = preview(store, &due, &bases, now).await?;
            let started = if self.start { Some(start(store, &due, &bases, now).await?) } else { None };
            if self.output.json {
                told.push(to_json(&due, &seen, started.as_ref()));
            } else {
                print(&due, &seen, started.as_ref());
            }
        }
        if self.output.json {
            println!("{}", json!({ "rules": told }));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn removed(preview: &Preview) -> u64 {
    preview.counts.iter().map(|(_, counts)| counts.removed()).sum()
}

fn to_json(due: &Due, preview: &Preview, kept: Option<&Kept>) -> Value {
    let counts: Map<String, Value> =
        preview.counts.iter().map(|(resource_type, counts)| (resource_type.to_string(), json!(counts.removed()))).collect();
    let job = kept.and_then(|kept| match kept {
        Kept::Started(job) => Some(job),
        Kept::Nothing | Kept::Later(_) => None,
    });
    json!({
        "rule": due.rule.to_string(),
        "client": due.owner.client_id().0,
        "user": due.owner.account_id().map(|account_id| account_id.0),
        "removed": removed(preview),
        "counts": counts,
        "job": job,
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
