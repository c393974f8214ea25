//! `lethe import`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lethe_fhir::LocalBases;

use super::serve::parse_public_url;
use crate::{
    api_client::parse_oneup_user_id,
    import::{ImportRequest, find_files, import, total_bytes},
    open_store::StoreOptions,
    progress::Progress,
};

/// Addresses that a server has when nobody says otherwise: references to them are references to it.
const DEFAULT_ADDRESSES: [&str; 2] = ["http://127.0.0.1:8080", "http://localhost:8080"];

/// Import NDJSON files, Bundles (collection, batch, transaction, searchset), either of them with .gz, or folders of them
///
/// May run beside a server. What is wrong is reported as file:line: reason, and the rest goes on. A resource that is there already gets
/// another version. Exit 1 if anything was rejected, unless --allow-rejects.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The oneup_user_id of the user who gets them
    #[arg(long, value_name = "ID", value_parser = parse_oneup_user_id)]
    user: i64,
    /// Exit 0 even if something was rejected
    #[arg(long)]
    allow_rejects: bool,
    /// Where clients reach the server, without /r4: absolute references to it are taken as local
    #[arg(long, value_name = "URL", value_parser = parse_public_url)]
    public_url: Option<String>,
    #[command(flatten)]
    store: StoreOptions,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let files = find_files(&self.paths)?;
        let opened = self.store.open().await?;
        let user = opened.user(self.user).await?;
        let progress = Progress::new("import", total_bytes(&files)?);
        let bases = LocalBases::new(self.public_url.as_deref().into_iter().chain(DEFAULT_ADDRESSES));
        let summary = import(&*opened.store, ImportRequest { account_id: user.account_id, bases, files }, progress).await?;
        if self.json {
            println!("{}", summary.to_json());
        } else {
            summary.print();
        }
        Ok(if summary.rejected == 0 || self.allow_rejects { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
