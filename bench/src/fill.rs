//! Fills a database: one account to purge, and 999 beside it that are read and written meanwhile.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::Context;
use lethe::population::{GeneratedKind, Population};
use lethe_auth::{AccountId, AuthMethods, ClientId, Scope};
use lethe_fhir::{LocalBases, Resource};
use lethe_store::{AddedUser, Expect, KeyedHash, NewClient, Store, Write};
use tokio::sync::mpsc;

use crate::{
    measure::{Figures, cpu_seconds, peak_mib, rate, thousands},
    place::Place,
};

/// The account that is purged.
pub const PURGED: AccountId = AccountId(1);
/// The accounts beside it.
pub const BESIDE: std::ops::RangeInclusive<i64> = 2..=1_000;
/// Resources of each account beside it.
const BESIDE_RESOURCES: u64 = 60;
/// Resources in one write transaction.
const WRITES: usize = 500;
/// File that holds the instant in milliseconds when half of the resources had been written.
pub const HALF_FILE: &str = "half-ms";

/// The scope of one of the accounts.
pub fn scope(account_id: AccountId) -> Scope {
    Scope::Account { client_id: ClientId("bench".to_owned()), account_id }
}

pub async fn fill(place: &Place, resources: u64) -> anyhow::Result<Figures> {
    place.create().await?;
    let store = place.open().await?;
    let client = client("bench");
    store.add_client(&client).await?;
    for account_id in std::iter::once(PURGED.0).chain(BESIDE) {
        match store.add_user(&client.client_id, &format!("user-{account_id}")).await? {
            AddedUser::Added(user) if user.account_id.0 == account_id => {}
            other => anyhow::bail!("the database is not empty: {other:?}"),
        }
    }
    for account_id in BESIDE {
        write_population(&store, &place.dir, AccountId(account_id), account_id.unsigned_abs(), BESIDE_RESOURCES).await?;
    }
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    let bytes = write_population(&store, &place.dir, PURGED, 1, resources).await?;
    let mut figures = Figures::default();
    figures.add("import", rate(resources, start.elapsed()));
    figures.add("import, processor", format!("{:.1} s", cpu_seconds()? - cpu));
    figures.add("JSON per resource", format!("{} B", thousands(bytes / resources)));
    figures.add("import, peak memory", format!("{} MiB", peak_mib()?));
    drop(store);
    place.settle().await?;
    figures.add("database", format!("{} MiB", place.bytes().await? >> 20));
    Ok(figures)
}

/// Adds accounts with a few resources each, of a client of their own.
pub async fn add_beside(store: &Arc<dyn Store>, place: &Place, accounts: u64) -> anyhow::Result<()> {
    if accounts == 0 {
        return Ok(());
    }
    let client = client("beside");
    store.add_client(&client).await?;
    for number in 1..=accounts {
        let added = store.add_user(&client.client_id, &format!("user-{number}")).await?;
        let AddedUser::Added(user) = added else { anyhow::bail!("the database is not empty: {added:?}") };
        write_population(store, &place.dir, user.account_id, number, BESIDE_RESOURCES).await?;
    }
    Ok(())
}

fn client(name: &str) -> NewClient {
    NewClient {
        client_id: ClientId(name.to_owned()),
        name: name.to_owned(),
        auth: AuthMethods::Headers,
        may_hold: false,
        secret_hash: KeyedHash([0; 32]),
    }
}

/// Writes until the account has `resources` resources; returns their bytes as JSON. Generating and parsing run beside the writing.
pub async fn write_population(store: &Arc<dyn Store>, dir: &Path, account_id: AccountId, seed: u64, resources: u64) -> anyhow::Result<u64> {
    let (sender, mut receiver) = mpsc::channel::<(Vec<Write>, u64)>(4);
    let generating = std::thread::spawn(move || generate(seed, resources, &sender));
    let (mut written, mut bytes) = (0, 0);
    while let Some((writes, json_bytes)) = receiver.recv().await {
        let is_half_before = written < resources / 2;
        written += writes.len() as u64;
        bytes += json_bytes;
        let outcomes = store.write(account_id, writes).await?;
        if is_half_before && written >= resources / 2 {
            let half_ms = outcomes.last().context("a write has an outcome")?.last_updated.as_unix_ms() + 1;
            std::fs::write(dir.join(HALF_FILE), half_ms.to_string())?;
            // So that what follows is younger, by the clock as well.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    generating.join().map_err(|_| anyhow::anyhow!("the generator panicked"))??;
    Ok(bytes)
}

/// Sends the first version of each generated resource, so that the number of resources is exact.
fn generate(seed: u64, resources: u64, sender: &mpsc::Sender<(Vec<Write>, u64)>) -> anyhow::Result<()> {
    let bases = LocalBases::default();
    let (mut writes, mut bytes, mut sent) = (Vec::with_capacity(WRITES), 0, 0);
    let (mut seen, mut seen_before) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    for change in Population::new(seed, resources) {
        let GeneratedKind::Put(json) = change.kind else { continue };
        let resource = Resource::parse(json.as_bytes())?;
        let id = resource.id.clone().context("a generated resource has an id")?;
        // Updates follow soon after: a short memory of ids is enough to leave them out.
        let key = (change.resource_type, id.clone());
        if seen_before.contains(&key) || !seen.insert(key) {
            continue;
        }
        if seen.len() > 50_000 {
            seen_before = std::mem::take(&mut seen);
        }
        bytes += json.len() as u64;
        writes.push(Write::put(&resource, id, &bases, Expect::Anything)?);
        sent += 1;
        if writes.len() == WRITES || sent == resources {
            sender.blocking_send((std::mem::take(&mut writes), std::mem::take(&mut bytes)))?;
        }
        if sent == resources {
            return Ok(());
        }
    }
    anyhow::bail!("the population has fewer than {resources} resources")
}
