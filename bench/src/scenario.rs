//! One purge of a filled database, measured.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use lethe_certificate::{document::IssuerName, issue::KeyedIssuer, keys::SigningKey};
use lethe_fhir::{LocalBases, Resource, ResourceType};
use lethe_jobs::JobState;
use lethe_purge::Selection;
use lethe_search::LastUpdatedFilter;
use lethe_store::{Clock, Expect, JobId, KickOff, ListQuery, NewPurge, PageKey, PurgeJob, SharedIssuer, Store, SystemClock, Write};
use lethe_worker::{Worker, WorkerOptions};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    fill::{HALF_FILE, PURGED, scope},
    live::Live,
    measure::{Figures, cpu_seconds, ms, peak_mib, quantile, rate, thousands},
    place::Place,
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// How long a kick-off takes.
    KickOff,
    /// The whole account, nothing else going on.
    Whole,
    /// One type: Observation.
    Type,
    /// The older half.
    Date,
    /// One resource in twenty, scattered among the rest.
    Scattered,
    /// The whole account, while 999 others are read and written.
    Live,
}

impl Case {
    /// In the order of the table.
    pub const ALL: [Self; 6] = [Self::KickOff, Self::Whole, Self::Type, Self::Date, Self::Scattered, Self::Live];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::KickOff => "kick-off",
            Self::Whole => "purge, whole account",
            Self::Type => "purge, one type",
            Self::Date => "purge, older half by date",
            Self::Scattered => "purge, 5 % scattered",
            Self::Live => "purge, whole account under load",
        }
    }

    /// For the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::KickOff => "kick-off",
            Self::Whole => "whole",
            Self::Type => "type",
            Self::Date => "date",
            Self::Scattered => "scattered",
            Self::Live => "live",
        }
    }
}

/// Between two looks whether a purge has ended.
const POLL: Duration = Duration::from_millis(5);
/// Kick-offs measured.
const KICK_OFFS: usize = 101;

pub async fn run(case: Case, place: &Place) -> anyhow::Result<Figures> {
    let store = place.open().await?;
    let mut figures = Figures::default();
    let everything = Selection::default();
    match case {
        Case::KickOff => kick_offs(store.as_ref(), &mut figures).await?,
        Case::Whole => purge(case, &store, everything, &mut figures).await?,
        Case::Type => purge(case, &store, Selection { types: Some(vec!["Observation".parse()?]), ..everything }, &mut figures).await?,
        Case::Date => {
            let half_ms = std::fs::read_to_string(place.dir.join(HALF_FILE))?.parse()?;
            let before = Some(lethe_fhir::Instant::from_unix_ms(half_ms));
            purge(case, &store, Selection { before, ..everything }, &mut figures).await?;
        }
        Case::Scattered => {
            let before = Some(touch_all_but_one_in_twenty(store.as_ref()).await?);
            purge(case, &store, Selection { before, ..everything }, &mut figures).await?;
        }
        Case::Live => {
            let live = Live::start(Arc::clone(&store)).await?;
            live.rest().await;
            purge(case, &store, everything, &mut figures).await?;
            live.finish(&mut figures).await?;
        }
    }
    Ok(figures)
}

async fn purge(case: Case, store: &Arc<dyn Store>, selection: Selection, figures: &mut Figures) -> anyhow::Result<()> {
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    let job_id = kick_off(store.as_ref(), selection).await?;
    let worker = Worker::new(Arc::clone(store), Arc::new(SystemClock), issuer()?, WorkerOptions::default());
    let (stop, shutdown) = watch::channel(false);
    let working = tokio::spawn(worker.run(shutdown));
    let job = loop {
        let job = job(store.as_ref(), job_id).await?;
        if job.state.is_ended() {
            break job;
        }
        tokio::time::sleep(POLL).await;
    };
    let elapsed = start.elapsed();
    stop.send_replace(true);
    working.await?;
    ensure!(job.state == JobState::Successful, "{job:?}");
    let deleted = job.totals().deleted;
    figures.add(case.label(), rate(deleted, elapsed));
    figures.add(
        format!("{}: removed, time, processor", case.name()),
        format!("{}, {:.1} s, {:.1} s", thousands(deleted), elapsed.as_secs_f64(), cpu_seconds()? - cpu),
    );
    figures.add(format!("{}: peak memory", case.name()), format!("{} MiB", peak_mib()?));
    Ok(())
}

/// Certificates are part of what a purge costs.
fn issuer() -> anyhow::Result<SharedIssuer> {
    let name = IssuerName { software: "bench".to_owned(), ..IssuerName::default() };
    Ok(Arc::new(KeyedIssuer { name, key: SigningKey::from_seed(&[7; 32])? }))
}

async fn kick_offs(store: &dyn Store, figures: &mut Figures) -> anyhow::Result<()> {
    let mut times = Vec::with_capacity(KICK_OFFS);
    for _ in 0..KICK_OFFS {
        let start = Instant::now();
        let job_id = kick_off(store, Selection::default()).await?;
        times.push(start.elapsed());
        store.cancel_purge(&scope(PURGED), job_id).await?;
    }
    times.sort();
    figures.add("kick-off, median", ms(quantile(&times, 0.5)));
    figures.add("kick-off, slowest of 101", ms(quantile(&times, 1.0)));
    Ok(())
}

async fn kick_off(store: &dyn Store, selection: Selection) -> anyhow::Result<JobId> {
    let purge = NewPurge {
        job_id: Uuid::now_v7(),
        owner: scope(PURGED),
        selection,
        question: Default::default(),
        bases: Default::default(),
        reason: None,
        expect: None,
        erase_files: false,
        digest_key: [7; 32],
    };
    match store.kick_off(&purge).await? {
        KickOff::Started(job) => Ok(job.job_id),
        other => anyhow::bail!("{other:?}"),
    }
}

async fn job(store: &dyn Store, job_id: JobId) -> anyhow::Result<PurgeJob> {
    store.purge_job(&scope(PURGED), job_id).await?.context("the job is there")
}

/// Writes a new version of nineteen resources in twenty, and returns the instant before which the others were last updated.
async fn touch_all_but_one_in_twenty(store: &dyn Store) -> anyhow::Result<lethe_fhir::Instant> {
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let touched_from = SystemClock.now();
    let last_types: Vec<ResourceType> = store.totals(&scope(PURGED)).await?.into_iter().map(|(resource_type, _)| resource_type).collect();
    let mut number = 0_u64;
    for resource_type in last_types {
        let mut after: Option<PageKey> = None;
        loop {
            let query = ListQuery { after, count: 500, last_updated: vec![before(touched_from)], ..ListQuery::default() };
            let page = store.list(&scope(PURGED), resource_type, &query).await?;
            let Some(last) = page.last() else { break };
            after = Some(PageKey { account_id: last.account_id, seq: last.seq });
            let mut writes = Vec::new();
            for version in page {
                number += 1;
                if number.is_multiple_of(20) {
                    continue;
                }
                let body = version.body.context("a listed version has a body")?;
                let json = lethe_fhir::render_resource(resource_type, &version.id, version.version, version.last_updated, &body);
                writes.push(Write::put(&Resource::parse(json.as_bytes())?, version.id, &LocalBases::default(), Expect::Anything)?);
            }
            store.write(PURGED, writes).await?;
        }
    }
    Ok(touched_from)
}

fn before(instant: lethe_fhir::Instant) -> LastUpdatedFilter {
    LastUpdatedFilter::Within(lethe_fhir::Instant::from_unix_ms(0), instant)
}
