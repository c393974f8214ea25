//! `lethe erase-files`.

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::Args;
use lethe_certificate::document::Level;
use lethe_store::StoreError;
use lethe_store_postgres::{EraseFilesError, ErasePatience, ErasedFiles, LeftTable, RewrittenTable, erase_files};
use serde_json::{Value, json};

use super::store_command::StoreCommand;
use crate::{
    failure::{Advice, UsageError},
    open_store::StoreOptions,
    terminal::grouped,
};

/// Take what purges removed out of the files of a PostgreSQL database, beside its servers
///
/// Every table is written into new files, and the write-ahead log is led past its old ones; then the level is 'files' and the exit status 0. If a table or
/// a file of the log is left as it was, that is told with its cause, the level stays 'rows' and the status is 1: run it again later, it goes on from
/// there. What it cannot reach (archived logs, replicas, backups), and which rights it needs, is in docs/erasure.md.
#[derive(Debug, Args)]
pub(crate) struct EraseFiles {
    #[command(flatten)]
    output: StoreCommand,
    /// A live call waits for a table so many milliseconds at most; tables that take longer are left
    #[arg(long, value_name = "MS", default_value = "5000", value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    wait_max_ms: u64,
    /// How long to wait for those who may still see what was deleted
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    patience_seconds: u64,
}

impl EraseFiles {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let store = &self.output.store;
        let Some(url) = &store.database_url else {
            bail!(UsageError(
                "lethe erase-files is for --database-url. Of an embedded store there is nothing left to do: there every purge reaches the level \
                 'files' before it is successful"
                    .to_owned()
            ));
        };
        // The schema must be this version's: so it is opened, and what cannot be opened is told.
        drop(store.open().await?);
        let patience =
            ErasePatience { wait_max: Duration::from_millis(self.wait_max_ms), others_max: Duration::from_secs(self.patience_seconds) };
        let erased = erase_files(url.exposed(), patience, &|line| eprintln!("{line}")).await.map_err(|error| advise(error, store))?;
        if self.output.json {
            println!("{}", to_json(&erased));
        } else {
            print(&erased);
        }
        Ok(if erased.level == Level::Files { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What to do about files that were not erased.
fn advise(error: EraseFilesError, store: &StoreOptions) -> anyhow::Error {
    let next = match &error {
        EraseFilesError::Rights(_) => "let a superuser run these statements in this database, then run it again",
        EraseFilesError::OlderViews(_) => "end those sessions, or run it again with a larger --patience-seconds",
        EraseFilesError::AtIt => "wait for the other",
        EraseFilesError::Store(StoreError::Unavailable(_)) => "run it again: what was done stays done",
        EraseFilesError::Address(_) | EraseFilesError::NoStore | EraseFilesError::Spread | EraseFilesError::Store(_) => {
            return error.into();
        }
    };
    let what = format!("the files of {} are not erased", store.place());
    anyhow::Error::from(error).context(Advice::new(what, next))
}

fn print(erased: &ErasedFiles) {
    let before: u64 = erased.rewritten.iter().map(|table| table.bytes_before).sum();
    let after: u64 = erased.rewritten.iter().map(|table| table.bytes_after).sum();
    let longest = erased.rewritten.iter().map(|table| table.locked).max().unwrap_or_default();
    println!(
        "{} tables rewritten, {} bytes before, {} after; {} had been already; a call waited {} ms at most",
        erased.rewritten.len(),
        grouped(before),
        grouped(after),
        erased.rewritten_before,
        longest.as_millis()
    );
    println!("{} files of the write-ahead log filled anew", erased.log_files);
    for table in &erased.left {
        println!("left: {}, {} bytes: {}", table.table, grouped(table.bytes), table.because);
    }
    for keeper in &erased.log_kept_by {
        println!("older files of the write-ahead log are kept: {keeper}");
    }
    for file in &erased.ownerless_files {
        println!("no table owns {file}: a crash of PostgreSQL left it");
    }
    if erased.purges_in_progress > 0 {
        println!("not covered: {} purges that were in progress", erased.purges_in_progress);
    }
    for copy in &erased.outside {
        println!("out of reach: {copy}");
    }
    match erased.level {
        Level::Files => println!("Level files: no byte of what {} ended purges removed is in the files of the database.", erased.purges),
        Level::Rows => {
            println!("Level rows: bytes of what purges removed may still be in the files. Run it again when the causes above are gone.")
        }
    }
}

fn to_json(erased: &ErasedFiles) -> Value {
    let rewritten = |table: &RewrittenTable| json!({ "table": table.table, "bytesBefore": table.bytes_before, "bytesAfter": table.bytes_after, "lockedMs": table.locked.as_millis() as u64 });
    let left = |table: &LeftTable| json!({ "table": table.table, "bytes": table.bytes, "because": table.because.to_string() });
    json!({
        "level": erased.level,
        "purges": erased.purges,
        "certificatesUpTo": erased.certificates_up_to,
        "purgesInProgress": erased.purges_in_progress,
        "rewritten": erased.rewritten.iter().map(rewritten).collect::<Vec<_>>(),
        "rewrittenBefore": erased.rewritten_before,
        "left": erased.left.iter().map(left).collect::<Vec<_>>(),
        "logFiles": erased.log_files,
        "logKeptBy": erased.log_kept_by,
        "ownerlessFiles": erased.ownerless_files,
        "outOfReach": erased.outside,
    })
}
