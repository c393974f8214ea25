//! A PostgreSQL database for one test, on the server that `cargo xtask test` started.

use std::process::Command;

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::{Done, Running, Workplace, cluster::Cluster, serve_by};

/// Dropped with this.
pub struct Database {
    pub url: String,
    name: String,
    /// `None`: it goes with its cluster.
    server: Option<String>,
}

impl Database {
    pub async fn create() -> Self {
        let name = format!("lethe_e2e_{}", Uuid::new_v4().simple());
        connect(&server()).await.batch_execute(&format!("create database {name}")).await.unwrap();
        Self { url: url_of(&name), name, server: Some(server()) }
    }

    /// The one of a cluster that is the test's own.
    pub async fn of(cluster: &Cluster) -> Self {
        cluster.client().await.batch_execute("create database lethe").await.unwrap();
        Self { url: cluster.url("lethe"), name: "lethe".to_owned(), server: None }
    }

    /// The one of a primary and its standby, at whichever of them takes writes.
    pub async fn of_pair(primary: &Cluster, standby: &Cluster) -> Self {
        let mut database = Self::of(primary).await;
        database.url = primary.url_with(standby, "lethe");
        database
    }

    /// A connection that sees lethe's tables.
    pub async fn client(&self) -> Client {
        let client = connect(&self.url).await;
        client.batch_execute("set search_path = lethe").await.unwrap();
        client
    }

    /// Its content becomes that of another one. Nobody may be connected to either.
    pub async fn become_copy_of(&self, other: &Self) {
        let server = connect(&server()).await;
        server.batch_execute(&format!("drop database {} with (force)", self.name)).await.unwrap();
        server.batch_execute(&format!("create database {} template {}", self.name, other.name)).await.unwrap();
    }

    /// The command, over this database.
    pub fn lethe(&self, workplace: &Workplace, arguments: &[&str]) -> Command {
        let mut command = workplace.lethe(arguments);
        command.env("LETHE_DATABASE_URL", &self.url);
        command
    }

    /// The same, from a process that the database knows by this name.
    pub fn lethe_as(&self, name: &str, workplace: &Workplace, arguments: &[&str]) -> Command {
        let mut command = workplace.lethe(arguments);
        let separator = if self.url.contains('?') { '&' } else { '?' };
        command.env("LETHE_DATABASE_URL", format!("{}{separator}application_name={name}", self.url));
        command
    }

    /// A worker that the database knows by this name, once it works.
    pub fn work_as(&self, name: &str, workplace: &Workplace, more: &[&str]) -> Running {
        let running = Running::start(self.lethe_as(name, workplace, &[&["worker"], more].concat()));
        running.line_with("works at the jobs of");
        running
    }

    /// A server that the database knows by this name.
    pub fn serve_as(&self, name: &str, workplace: &Workplace, more: &[&str]) -> (Running, String) {
        serve_by(self.lethe_as(name, workplace, &[&["serve", "--listen", "127.0.0.1:0"], more].concat()))
    }

    pub fn run(&self, workplace: &Workplace, arguments: &[&str]) -> Done {
        self.lethe(workplace, arguments).output().unwrap().into()
    }

    /// Runs a command that must succeed.
    pub fn said(&self, workplace: &Workplace, arguments: &[&str]) -> String {
        let done = self.run(workplace, arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        done.stdout.trim().to_owned()
    }

    pub fn serve(&self, workplace: &Workplace, more: &[&str]) -> (Running, String) {
        serve_by(self.lethe(workplace, &[&["serve", "--listen", "127.0.0.1:0"], more].concat()))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (name, Some(server)) = (std::mem::take(&mut self.name), self.server.take()) else { return };
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                connect(&server).await.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
            });
        });
        assert!(dropped.join().is_ok() || std::thread::panicking(), "the database of the test is dropped");
    }
}

fn server() -> String {
    let url = std::env::var("LETHE_TEST_DATABASE_URL").unwrap_or_default();
    assert!(!url.is_empty(), "these tests need a PostgreSQL: run them with `cargo xtask test`, or name one in LETHE_TEST_DATABASE_URL");
    url
}

fn url_of(database: &str) -> String {
    let server = server();
    let (address, options) = server.split_once('?').map_or((server.as_str(), None), |(address, options)| (address, Some(options)));
    let host = address.rsplit_once('/').unwrap().0;
    format!("{host}/{database}{}", options.map(|options| format!("?{options}")).unwrap_or_default())
}

/// A connection to the server that `cargo xtask test` started.
pub async fn connect_to_server() -> Client {
    connect(&server()).await
}

pub(super) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
