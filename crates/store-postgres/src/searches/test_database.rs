//! A database for a test of statements.

use uuid::Uuid;

use super::run::PLANNING;
use crate::{
    address::Address,
    connections::Connections,
    error::Result,
    migrate::{IfNone, migrate},
    transaction::Tx,
};

/// The address of the server.
pub(crate) fn address() -> Address {
    let server = std::env::var("LETHE_TEST_DATABASE_URL").expect("these tests need a PostgreSQL: run them with `cargo xtask test`");
    Address::parse(&server).unwrap()
}

/// Runs `work` over the address of an empty database of its own.
pub(crate) async fn with_empty_database(work: impl AsyncFnOnce(Address)) {
    let mut address = address();
    let (client, connection) = address.connect().await.unwrap();
    tokio::spawn(connection);
    let name = format!("lethe_empty_{}", Uuid::new_v4().simple());
    client.batch_execute(&format!("create database {name}")).await.unwrap();
    address.config.dbname(&name);
    work(address).await;
    client.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
}

/// Runs `work` as a search in a database of its own, in which the statements of `fill` were run.
pub(super) async fn with_database(fill: &str, work: impl AsyncFnOnce(Tx) -> Result<()>) {
    let mut address = address();
    let (client, connection) = address.connect().await.unwrap();
    tokio::spawn(connection);
    let name = format!("lethe_plans_{}", Uuid::new_v4().simple());
    client.batch_execute(&format!("create database {name}")).await.unwrap();
    address.config.dbname(&name);
    let (own, connection) = address.connect().await.unwrap();
    tokio::spawn(connection);
    let connections = Connections::new(&address, std::time::Duration::from_secs(60), 4).unwrap();
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
