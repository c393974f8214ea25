//! Readers and writers of other accounts, before a purge and during it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use lethe_auth::AccountId;
use lethe_fhir::{LocalBases, LogicalId, Resource, ResourceType};
use lethe_store::{Expect, ListQuery, Store, Write};
use tokio::task::JoinHandle;

use crate::{
    fill::{BESIDE, scope},
    measure::{Figures, ms, quantile},
};

/// How long the idle latency is measured.
const REST: Duration = Duration::from_secs(3);
/// Pause between two reads, and between two writes: a steady load of about 500 of each in a second.
const PAUSE: Duration = Duration::from_millis(2);

/// One sample: when, how long.
type Samples = Vec<(Instant, Duration)>;

/// A reader and a writer at work.
pub struct Live {
    is_over: Arc<AtomicBool>,
    reads: JoinHandle<anyhow::Result<Samples>>,
    writes: JoinHandle<anyhow::Result<Samples>>,
    started: Instant,
}

impl Live {
    pub async fn start(store: Arc<dyn Store>) -> anyhow::Result<Self> {
        let observation: ResourceType = "Observation".parse()?;
        let query = ListQuery { count: 10, ..ListQuery::default() };
        let mut read_in_turn = Vec::new();
        for account_id in BESIDE.map(AccountId) {
            let found = store.list(&scope(account_id), observation, &query).await?;
            read_in_turn.extend(found.into_iter().map(|version| (account_id, version.id)));
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let reads = tokio::spawn(read(Arc::clone(&store), observation, read_in_turn, Arc::clone(&is_over)));
        let writes = tokio::spawn(write(store, Arc::clone(&is_over)));
        Ok(Self { is_over, reads, writes, started: Instant::now() })
    }

    /// Lets the idle latency be measured.
    pub async fn rest(&self) {
        tokio::time::sleep(REST).await;
    }

    pub async fn finish(self, figures: &mut Figures) -> anyhow::Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        let purge_began = self.started + REST;
        for (name, samples) in [("read", self.reads.await??), ("write", self.writes.await??)] {
            let during = |is_during: bool| {
                let mut times: Vec<Duration> =
                    samples.iter().filter(|(began, _)| (*began >= purge_began) == is_during).map(|(_, took)| *took).collect();
                times.sort();
                times
            };
            let (idle, busy) = (during(false), during(true));
            for (quantile_name, share) in [("median", 0.5), ("p99", 0.99)] {
                let text = format!("{} → {}", ms(quantile(&idle, share)), ms(quantile(&busy, share)));
                figures.add(format!("live {name}, {quantile_name}: idle → purge"), text);
            }
        }
        Ok(())
    }
}

async fn read(
    store: Arc<dyn Store>,
    resource_type: ResourceType,
    read_in_turn: Vec<(AccountId, LogicalId)>,
    is_over: Arc<AtomicBool>,
) -> anyhow::Result<Samples> {
    let mut samples = Samples::new();
    for (account_id, id) in read_in_turn.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        store.read(&scope(*account_id), resource_type, id).await?.context("a read found nothing")?;
        samples.push((began, began.elapsed()));
        tokio::time::sleep(PAUSE).await;
    }
    Ok(samples)
}

async fn write(store: Arc<dyn Store>, is_over: Arc<AtomicBool>) -> anyhow::Result<Samples> {
    let mut samples = Samples::new();
    for (number, account_id) in BESIDE.cycle().enumerate() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let json = format!(r#"{{"resourceType":"Observation","id":"live-{}","status":"final","valueInteger":{number}}}"#, number % 1_000);
        let resource = Resource::parse(json.as_bytes())?;
        let write = Write::put(&resource, resource.id.clone().context("an id")?, &LocalBases::default(), Expect::Anything)?;
        let began = Instant::now();
        store.write(AccountId(account_id), vec![write]).await?;
        samples.push((began, began.elapsed()));
        tokio::time::sleep(PAUSE).await;
    }
    Ok(samples)
}
