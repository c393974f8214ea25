//! Where the databases of a run lie: directories of the embedded store, or databases of a PostgreSQL server.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use lethe_store::{Store, SystemClock};
use lethe_store_postgres::PostgresStore;
use lethe_store_sqlite::SqliteStore;
use tokio_postgres::{Client, NoTls};

/// How long a worker may be silent: longer than a benchmark keeps it from its work.
const LEASE: std::time::Duration = std::time::Duration::from_secs(300);

/// One database of a run.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// The directory of the embedded store; beside a database of PostgreSQL, of what is noted about it.
    pub dir: PathBuf,
    /// The database, if it is one of PostgreSQL.
    #[arg(long)]
    pub database_url: Option<String>,
}

impl Place {
    /// In a directory of `root`, or in a database of the server at `server`, whose name begins with `lethe_bench`.
    pub fn named(root: &Path, server: Option<&str>, name: &str) -> anyhow::Result<Self> {
        let database_url = server.map(|server| of_database(server, &format!("lethe_bench_{name}"))).transpose()?;
        Ok(Self { dir: root.join(name), database_url })
    }

    /// As arguments of a step.
    pub fn arguments(&self) -> Vec<OsString> {
        let url = self.database_url.iter().map(|url| format!("--database-url={url}").into());
        std::iter::once(self.dir.clone().into_os_string()).chain(url).collect()
    }

    /// Makes it, empty.
    pub async fn create(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let Some(url) = &self.database_url else { return Ok(()) };
        let name = name_of(url)?;
        let server = server_of(url).await?;
        server.batch_execute(&format!("drop database if exists {name} (force)")).await?;
        Ok(server.batch_execute(&format!("create database {name}")).await?)
    }

    /// Makes `to` a copy of it. Nobody may have it open.
    pub async fn copy_to(&self, to: &Self) -> anyhow::Result<()> {
        copy_files(&self.dir, &to.dir)?;
        let (Some(from_url), Some(to_url)) = (&self.database_url, &to.database_url) else { return Ok(()) };
        let (from, to) = (name_of(from_url)?, name_of(to_url)?);
        let server = server_of(to_url).await?;
        server.batch_execute(&format!("drop database if exists {to} (force)")).await?;
        server.batch_execute(&format!("create database {to} template {from} strategy file_copy")).await?;
        Ok(server.batch_execute("checkpoint").await?)
    }

    /// Removes it.
    pub async fn remove(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(&self.dir)?;
        let Some(url) = &self.database_url else { return Ok(()) };
        Ok(server_of(url).await?.batch_execute(&format!("drop database if exists {} (force)", name_of(url)?)).await?)
    }

    /// Opens its store, as a server does.
    pub async fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        let clock = Arc::new(SystemClock);
        Ok(match &self.database_url {
            Some(url) => Arc::new(PostgresStore::open_for_serving(url, clock, LEASE).await?),
            None => Arc::new(SqliteStore::open_for_serving(&self.dir, clock).await?),
        })
    }

    /// Leaves it as it is after some rest: vacuumed, with statistics, all of it in the files.
    pub async fn settle(&self) -> anyhow::Result<()> {
        let Some(url) = &self.database_url else { return Ok(()) };
        let client = connect(url).await?;
        client.batch_execute("vacuum (analyze)").await?;
        Ok(client.batch_execute("checkpoint").await?)
    }

    /// Bytes that it takes.
    pub async fn bytes(&self) -> anyhow::Result<u64> {
        let Some(url) = &self.database_url else {
            return std::fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.metadata()?.len())).sum();
        };
        let row = connect(url).await?.query_one("select pg_database_size(current_database())", &[]).await?;
        Ok(u64::try_from(row.get::<_, i64>(0))?)
    }
}

/// Copies the files of a directory into another.
pub fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A connection to the server of a database, beside that.
async fn server_of(url: &str) -> anyhow::Result<Client> {
    connect(&of_database(url, "postgres")?).await
}

/// The address with another name of a database.
fn of_database(url: &str, name: &str) -> anyhow::Result<String> {
    let (address, options) = url.split_once('?').map_or((url, String::new()), |(address, options)| (address, format!("?{options}")));
    let (server, _) = address.rsplit_once('/').context("the address ends with the name of a database")?;
    ensure!(!server.ends_with('/'), "the address ends with the name of a database: postgres://USER@HOST:PORT/postgres");
    Ok(format!("{server}/{name}{options}"))
}

fn name_of(url: &str) -> anyhow::Result<&str> {
    let address = url.split_once('?').map_or(url, |(address, _)| address);
    Ok(address.rsplit_once('/').context("the address ends with the name of a database")?.1)
}
