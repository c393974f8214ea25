//! `lethe audit`: the audit trail, for those who collect such trails.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use lethe_store::HoldFilter;

use super::serve::parse_public_url;
use crate::{
    audit_event::{Observer, events, hold_events},
    open_store::StoreOptions,
    terminal::grouped,
};

/// Records read from the store in one go.
const PAGE: usize = 500;

/// The audit trail of a store
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    Export(Export),
}

/// Print the trail as FHIR R4 AuditEvents, one a line; may run beside a server
///
/// Purges first, then legal holds: each gives an event for its beginning and one for its end. That of a successful end follows IHE BALP's profile of a delete.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where clients reach the server, without /r4
    #[arg(long, value_name = "URL", value_parser = parse_public_url)]
    public_url: Option<String>,
    #[command(flatten)]
    store: StoreOptions,
}

impl AuditCommand {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let Self::Export(Export { public_url, store }) = self;
        let store = store.open().await?.store;
        let observer = Observer { store_id: store.store_id().await?, public_url };
        let (mut after, mut count) = (0, 0);
        loop {
            let page = store.audit_records(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.number;
            for event in page.iter().flat_map(|record| events(record, &observer)) {
                println!("{event}");
                count += 1;
            }
        }
        let mut filter = HoldFilter { with_ended: true, count: PAGE, ..HoldFilter::default() };
        loop {
            let page = store.holds(&filter).await?;
            let Some(last) = page.last() else { break };
            filter.before = Some(last.hold_id);
            for event in page.iter().flat_map(|hold| hold_events(hold, &observer)) {
                println!("{event}");
                count += 1;
            }
        }
        eprintln!("{} events.", grouped(count));
        Ok(ExitCode::SUCCESS)
    }
}
