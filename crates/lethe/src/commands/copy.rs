//! `lethe copy`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use lethe_auth::AccountId;
use lethe_store::{StoreError, StoredRow, StoredValue};
use lethe_store_postgres::{MovedIn, MovedTable};
use lethe_store_sqlite::Dump;
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    failure::Advice,
    open_store::{DatabaseUrl, StoreOptions},
    private_file,
    progress::{Progress, rate},
    terminal::grouped,
};

/// What belongs to a store beside its database.
const FILES: [&str; 3] = ["secret.key", "certificate.keys", "purge.journal"];

/// Move an embedded store into an empty PostgreSQL database; no server may run on either
///
/// Everything comes along as it is: clients, users and their tokens, every version, holds, purge jobs, certificates, the audit trail, and the key files and
/// the journal. Rows and bytes are counted on both sides before anything stays. What is in the directory is not changed.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// Directory of the embedded store
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The database: postgres://USER:PASSWORD@HOST:PORT/DATABASE. On the command line others see the password: better as LETHE_TO in the environment
    #[arg(long, value_name = "URL")]
    to: DatabaseUrl,
    /// Where secret.key, certificate.keys and purge.journal go: the --keys-dir of the servers
    #[arg(long, value_name = "DIR", default_value = "./lethe-keys")]
    keys_dir: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Rows of one table, by its place in the list.
type Handed = (usize, Vec<StoredRow>);

/// What the embedded store has.
struct Source {
    rows: Vec<u64>,
    last_numbers: Vec<u64>,
    newest_ms: Vec<(AccountId, i64)>,
    last_seq: u64,
    body_bytes: u64,
}

impl Copy {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let from = StoreOptions::of_directory(&self.from);
        let to = StoreOptions::of_database(self.to.clone(), &self.keys_dir);
        // Held to the end: nobody writes to either.
        let source = from.open_alone().await?;
        let dump = Dump::open(&self.from)?;
        let purges = dump.purges_in_progress()?;
        if purges > 0 {
            bail!(Advice::new(
                format!("{purges} purges of {} are in progress", self.from.display()),
                "let a server finish them, or cancel them, and copy then",
            ));
        }
        to.make_tables().await?;
        let target = to.open_database_alone().await?;
        let Some(moved) = target.begin_move_in().await? else {
            bail!(Advice::new(format!("{} has a store already", to.place()), "name an empty database: createdb makes one"));
        };
        self.refuse_other_files()?;
        let (last_seq, copied) = copy(dump, &moved).await?;
        let mut made = Vec::new();
        let files = self.copy_files(&mut made).and_then(|files| self.refuse_change(last_seq, &copied).map(|()| files));
        if files.is_err() {
            // Of another moment than those of the next attempt.
            for path in made {
                fs::remove_file(&path).with_context(|| format!("{} is left over, and cannot be removed", path.display()))?;
            }
        }
        let files = files?;
        moved.finish().await?;
        drop(source);
        self.tell(&to, &copied, &files);
        Ok(ExitCode::SUCCESS)
    }

    /// Commands may work beside a server, and so beside this: what they have written since would be missing in the copy.
    fn refuse_change(&self, last_seq: u64, copied: &BTreeMap<String, u64>) -> Result<()> {
        let now = Dump::open(&self.from)?;
        let mut is_same = now.last_seq()? == last_seq;
        for (table, rows) in copied {
            is_same &= now.rows(table)? == *rows;
        }
        if !is_same {
            bail!(Advice::new(
                format!("something was written to {} meanwhile; nothing was copied", self.from.display()),
                "let no command work on it, and copy again",
            ));
        }
        Ok(())
    }

    /// What belongs to another store is told before anything is copied, which may take long.
    fn refuse_other_files(&self) -> Result<()> {
        for name in FILES {
            let (from, to) = (self.from.join(name), self.keys_dir.join(name));
            if fs::exists(&from).with_context(|| cannot(&from, "read"))? && fs::exists(&to).with_context(|| cannot(&to, "read"))? {
                refuse_other(&from, &to)?;
            }
        }
        Ok(())
    }

    /// Those that there are, by name; `made` gets those of them that were not there before. One that is there already must be the same.
    fn copy_files(&self, made: &mut Vec<PathBuf>) -> Result<Vec<&'static str>> {
        private_file::make_directory(&self.keys_dir)
            .with_context(|| Advice::new(cannot(&self.keys_dir, "made"), "choose a directory that this user may write, with --keys-dir"))?;
        let mut copied = Vec::new();
        for name in FILES {
            let (from, to) = (self.from.join(name), self.keys_dir.join(name));
            if !fs::exists(&from).with_context(|| cannot(&from, "read"))? {
                continue;
            }
            let bytes = fs::read(&from).with_context(|| cannot(&from, "read"))?;
            made.extend((!fs::exists(&to).with_context(|| cannot(&to, "read"))?).then(|| to.clone()));
            private_file::create(&self.keys_dir, name, &bytes).with_context(|| cannot(&to, "written"))?;
            refuse_other(&from, &to)?;
            copied.push(name);
        }
        Ok(copied)
    }

    fn tell(&self, to: &StoreOptions, copied: &BTreeMap<String, u64>, files: &[&str]) {
        if self.json {
            println!("{}", json!({ "from": self.from, "to": to.place(), "rows": copied, "files": files }));
            return;
        }
        for (table, rows) in copied.iter().filter(|(_, rows)| **rows > 0) {
            println!("{:>14}  {table}", grouped(*rows));
        }
        println!("Copied from {} to {}: rows and bytes agree.", self.from.display(), to.place());
        if !files.contains(&"purge.journal") {
            println!(
                "There was no purge.journal in {}: if it lies elsewhere, give its place to the servers with --journal.",
                self.from.display()
            );
        }
        println!("Serve it with lethe serve{}; {} still holds everything, until you remove it.", to.flag(), self.from.display());
    }
}

fn cannot(path: &Path, what: &str) -> String {
    format!("{} cannot be {what}", path.display())
}

fn refuse_other(from: &Path, to: &Path) -> Result<()> {
    if fs::read(to).with_context(|| cannot(to, "read"))? != fs::read(from).with_context(|| cannot(from, "read"))? {
        bail!(Advice::new(
            format!("{} is there already, and is another than {}", to.display(), from.display()),
            "choose an empty directory with --keys-dir",
        ));
    }
    Ok(())
}

/// Copies all tables, and compares; the last place in the order of commits, and the rows of each table.
async fn copy(dump: Dump, moved: &MovedIn) -> Result<(u64, BTreeMap<String, u64>)> {
    let mut tables = moved.tables();
    for table in &mut tables {
        table.keep(&dump.columns(&table.name)?);
    }
    let (sender, mut receiver) = mpsc::channel::<Handed>(2);
    let of_reader = tables.clone();
    let reading = tokio::task::spawn_blocking(move || read(&dump, &of_reader, &sender));
    let mut progress = Progress::of_unknown_length("copy");
    let mut rows_done = 0;
    while let Some((place, rows)) = receiver.recv().await {
        let table = tables.get(place).context("a table of the list")?;
        rows_done += rows.len() as u64;
        moved.put(table, rows).await.with_context(|| format!("the table {}", table.name))?;
        progress
            .set(rows_done, &format!("{}: {} rows, {}/s", table.name, grouped(rows_done), grouped(rate(rows_done, progress.elapsed()))));
    }
    progress.finish();
    let source = reading.await??;
    moved.put_orders(&source.newest_ms, source.last_seq).await?;
    let mut copied = BTreeMap::new();
    for (table, (rows, last_number)) in tables.iter().zip(source.rows.iter().zip(&source.last_numbers)) {
        moved.set_last_number(table, *last_number).await?;
        let there = moved.rows(table).await?;
        ensure!(there == *rows, "the table {} has {rows} rows, and its copy {there}; nothing was copied", table.name);
        copied.insert(table.name.clone(), there);
    }
    let there = moved.body_bytes().await?;
    ensure!(there == source.body_bytes, "the bodies have {} bytes, and their copies {there}; nothing was copied", source.body_bytes);
    Ok((source.last_seq, copied))
}

fn read(dump: &Dump, tables: &[MovedTable], sender: &mpsc::Sender<Handed>) -> Result<Source> {
    let mut source = Source {
        rows: Vec::new(),
        last_numbers: Vec::new(),
        newest_ms: Vec::new(),
        last_seq: dump.last_seq()?,
        body_bytes: dump.body_bytes()?,
    };
    for (place, table) in tables.iter().enumerate() {
        source.rows.push(dump.rows(&table.name)?);
        source.last_numbers.push(dump.last_number(&table.name)?);
        // Whoever does not take them any more says why himself.
        dump.hand_on(&table.name, &table.columns, |rows| -> Result<()> { Ok(sender.blocking_send((place, rows))?) })?;
    }
    let columns = ["account_id", "last_updated_ms"].map(str::to_owned);
    dump.hand_on("user_account", &columns, |rows| {
        for row in rows {
            let [StoredValue::Integer(account), StoredValue::Integer(ms)] = row[..] else {
                return Err(StoreError::NotUnderstood("user_account".to_owned()));
            };
            source.newest_ms.push((AccountId(account), ms));
        }
        Ok(())
    })?;
    Ok(source)
}
