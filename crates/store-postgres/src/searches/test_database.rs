//! A database for a test of statements.

use tokio_postgres::NoTls;
use uuid::Uuid;

use super::run::PLANNING;
use crate::{
    connections::Connections,
    error::Result,
    migrate::{IfNone, migrate},
    transaction::Tx,
};

/// Runs `work` as a search in a database of its own, in which the statements of `fill` were run.
pub(super) async fn with_database(fill: &str, work: impl AsyncFnOnce(Tx) -> Result<()>) {
    let server = std::env::var("LETHE_TEST_DATABASE_URL").expect("these tests need a PostgreSQL: run them with `cargo xtask test`");
    let (client, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = format!("lethe_plans_{}", Uuid::new_v4().simple());
    client.batch_execute(&format!("create database {name}")).await.unwrap();
    let mut config: tokio_postgres::Config = server.parse().unwrap();
    let (own, connection) = config.dbname(&name).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let connections = Connections::new(&config, std::time::Duration::from_secs(60)).unwrap();
    migrate(&connections, IfNone::Make).await.unwrap();
    own.batch_execute("set search_path = lethe").await.unwrap();
    for statement in fill.split(";\n") {
        own.batch_execute(statement).await.unwrap();
    }
    connections
        .read(async |tx: Tx| {
            tx.run(PLANNING).await?;
            work(tx).await
        })
        .await
        .unwrap();
    drop(connections);
    client.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
}
