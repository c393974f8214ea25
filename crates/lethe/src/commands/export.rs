//! `lethe export`.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;
use lethe_auth::Scope;
use lethe_fhir::{ResourceType, render_resource};
use lethe_store::{ListQuery, PageKey, Resources};
use serde_json::{Map, Value, json};

use crate::{
    api_client::parse_oneup_user_id,
    failure::Advice,
    open_store::StoreOptions,
    progress::{Progress, rate},
    terminal::{self, grouped},
};

/// Resources that are read at a time.
const PAGE_RESOURCES: usize = 1_000;

/// Export a user's current resources, one NDJSON file for each type
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where to; made if there is none. No file in it is overwritten
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The oneup_user_id of the user
    #[arg(long, value_name = "ID", value_parser = parse_oneup_user_id)]
    user: i64,
    #[command(flatten)]
    store: StoreOptions,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Export {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let opened = self.store.open().await?;
        let user = opened.user(self.user).await?;
        let scope = Scope::Account { client_id: user.client_id, account_id: user.account_id };
        let totals = opened.store.totals(&scope).await?;
        fs::create_dir_all(&self.directory).with_context(|| format!("{} cannot be made", self.directory.display()))?;
        let mut progress = Progress::new("export", totals.iter().map(|(_, count)| count).sum());
        let mut written = Vec::new();
        let mut done = 0;
        for (resource_type, _) in totals {
            let count = export_type(&*opened.store, &scope, resource_type, &self.directory, |count| {
                let per_second = grouped(rate(done + count, progress.elapsed()));
                progress.set(done + count, &format!("{} resources, {per_second}/s", grouped(done + count)));
            })
            .await?;
            done += count;
            written.push((resource_type, count));
        }
        progress.finish();
        if self.json {
            let types: Map<String, Value> =
                written.iter().map(|(resource_type, count)| (resource_type.to_string(), json!(count))).collect();
            println!("{}", json!({ "exported": done, "types": types }));
        } else {
            let mut table = terminal::table(["type", "exported"]);
            for (resource_type, count) in &written {
                table.add_row([resource_type.to_string(), grouped(*count)]);
            }
            terminal::align_numbers(&mut table, 1);
            println!("{table}\n{} resources in {}", grouped(done), self.directory.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns how many were written.
async fn export_type(
    store: &dyn Resources,
    scope: &Scope,
    resource_type: ResourceType,
    directory: &Path,
    mut told: impl FnMut(u64),
) -> Result<u64> {
    let path = directory.join(format!("{resource_type}.ndjson"));
    let unwritable = || Advice::new(format!("{} cannot be written", path.display()), "export into an empty directory with enough room");
    let mut file = BufWriter::new(File::create_new(&path).with_context(unwritable)?);
    let mut query = ListQuery { count: PAGE_RESOURCES, ..ListQuery::default() };
    let mut count = 0;
    loop {
        let page = store.list(scope, resource_type, &query).await?;
        for version in &page {
            // OK because a listing leaves deletions out, and everything else has a body.
            let Some(body) = &version.body else { continue };
            writeln!(file, "{}", render_resource(resource_type, &version.id, version.version, version.last_updated, body))
                .with_context(unwritable)?;
            count += 1;
        }
        told(count);
        match page.last() {
            Some(last) if page.len() == PAGE_RESOURCES => query.after = Some(PageKey { account_id: last.account_id, seq: last.seq }),
            _ => break,
        }
    }
    file.flush().with_context(unwritable)?;
    Ok(count)
}
