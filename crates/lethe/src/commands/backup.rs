//! `lethe backup`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lethe_store_sqlite::{CopyError, back_up};
use serde_json::json;

use crate::{
    failure::Advice,
    open_store::StoreOptions,
    progress::{Progress, rate},
    terminal::grouped,
};

/// Copy the store's database into one file, as it is at one moment; may run beside a server
///
/// The copy holds patients' data, and is readable by its owner alone. The keys of the data directory are not in it: keep a copy of them elsewhere.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to make; none is overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    store: StoreOptions,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        self.store.refuse_database(
            "lethe backup",
            "pg_dump --format=custom, or a base backup, copies a database beside running servers; keep copies of secret.key and certificate.keys elsewhere, \
             and the purge journal on another disk: lethe restore --reapply needs it",
        )?;
        // The schema must be this version's: so it is opened, and what cannot be opened is told.
        drop(self.store.open().await?);
        let (data, file) = (self.store.data.clone(), self.file.clone());
        let copied = tokio::task::spawn_blocking(move || {
            let mut progress = Progress::of_unknown_length("backup");
            let bytes = back_up(&data, &file, |done, all| {
                progress.set_length(all);
                let mib = |bytes| grouped(bytes >> 20);
                progress.set(done, &format!("{} of {} MiB, {} MiB/s", mib(done), mib(all), mib(rate(done, progress.elapsed()))));
            });
            progress.finish();
            bytes
        });
        let bytes = copied.await?.map_err(|error| {
            let next = match &error {
                CopyError::Exists(_) => "choose another name",
                CopyError::File { .. } | CopyError::Database { .. } | CopyError::Damaged { .. } => {
                    "choose a place with enough room, which this user may write"
                }
            };
            anyhow::Error::from(error).context(Advice::new(format!("there is no backup in {}", self.file.display()), next))
        })?;
        if self.json {
            println!("{}", json!({ "backup": self.file, "bytes": bytes }));
        } else {
            println!("{}: {} bytes. The keys in {} are not in it.", self.file.display(), grouped(bytes), self.store.data.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}
