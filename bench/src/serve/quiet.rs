//! What live calls notice of a purge: readers, searchers and writers of one account of 1,000 at a steady rate, before another is purged and meanwhile.
//!
//! Latency counts from when a call was due, so that calls which wait for a slow one before them are seen, too.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    SEED,
    connection::Connection,
    fill_step,
    filled::Filled,
    random::Random,
    server::{Server, Tenant},
};
use crate::{
    measure::{Figures, ms, quantile, rate, thousands},
    place::Place,
    runtime, table,
};

/// Resources in the account that is read and written.
const LIVE_RESOURCES: u64 = 20_000;
/// Accounts beside the two.
const BESIDE: u64 = 998;
/// How often the purge is asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// What the server takes to be warm, and to learn what is usual.
const WARM_UP: Duration = Duration::from_secs(5);

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Resources in the account that is purged.
    #[arg(long, default_value_t = 1_000_000)]
    resources: u64,
    /// Directory for the databases; a temporary one if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A server of PostgreSQL instead, on which databases are made and dropped whose names begin with lethe_bench: postgres://USER@HOST:PORT/postgres.
    #[arg(long)]
    database_url: Option<String>,
    /// Seconds of live calls without a purge.
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
    /// Live calls in a second: as many reads, a fifth as many searches, a fifth as many writes.
    #[arg(long, default_value_t = 500.0)]
    reads_per_second: f64,
}

/// A kind of live calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Search,
    Write,
}

/// One call: when it was due, how long after that it was answered.
type Sample = (Kind, Instant, Duration);

/// Purges with the default bounds and with none, over copies of one database, and prints the table.
pub fn drive(options: &Options) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let root = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let place = |name: &str| Place::named(&root, options.database_url.as_deref(), name);
    let (filled, copy) = (place("quiet")?, place("copy")?);
    runtime()?.block_on(filled.create())?;
    let (purged, live) = (Tenant::create(&filled)?, Tenant::create(&filled)?);
    eprintln!("filling");
    fill_step(&filled, &purged, options.resources, 0)?;
    fill_step(&filled, &live, LIVE_RESOURCES, BESIDE)?;
    let mut columns = Vec::new();
    for (name, arguments) in [("default bounds", &[][..]), ("no bounds", &["--live-read-factor", "1000", "--live-write-wait-ms", "60000"])]
    {
        eprintln!("{name}");
        runtime()?.block_on(filled.copy_to(&copy))?;
        columns.push((name.to_owned(), vec![measure(options, &copy, &purged, &live, arguments)?]));
        runtime()?.block_on(copy.remove())?;
    }
    runtime()?.block_on(filled.remove())?;
    let title = format!("a purge of {} beside live calls", thousands(options.resources));
    println!("{}", table::render_named(&title, &columns));
    Ok(())
}

fn measure(options: &Options, place: &Place, purged: &Tenant, live: &Tenant, arguments: &[&str]) -> anyhow::Result<Figures> {
    let token = purged.token(place)?;
    let server = Server::start_with(place, live, arguments)?;
    let filled = Filled::again(SEED, LIVE_RESOURCES)?;
    let is_over = AtomicBool::new(false);
    let interval = |connections: u32, per_second: f64| Duration::from_secs_f64(f64::from(connections) / per_second);
    // So many connections that none is still waiting when its next call is due, even if a call takes 80 ms.
    let loads = [
        (Kind::Read, 40, interval(40, options.reads_per_second)),
        (Kind::Search, 8, interval(8, options.reads_per_second / 5.0)),
        (Kind::Write, 8, interval(8, options.reads_per_second / 5.0)),
    ];
    let (samples, purge) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let (server, filled, is_over) = (&server, &filled, &is_over);
        let threads: Vec<_> = loads
            .iter()
            .flat_map(|(kind, connections, interval)| {
                (0..*connections).map(move |place| (*kind, place, *interval, interval.mul_f64(f64::from(place) / f64::from(*connections))))
            })
            .map(|(kind, place, interval, first)| scope.spawn(move || live_calls(server, filled, kind, place, interval, first, is_over)))
            .collect();
        std::thread::sleep(WARM_UP);
        let counted_from = Instant::now();
        std::thread::sleep(Duration::from_secs_f64(options.seconds));
        let purge = purge(server, &token).map(|(job, began, took)| (job, counted_from, began, took));
        is_over.store(true, Ordering::Relaxed);
        let mut samples: Vec<Sample> = Vec::new();
        for thread in threads {
            samples.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok((samples, purge?))
    })?;
    let (deleted, counted_from, began, took) = purge;
    let mut figures = Figures::default();
    figures.add("removed", thousands(deleted));
    figures.add("purge", format!("{:.1} s, {}", took.as_secs_f64(), rate(deleted, took)));
    for (kind, name) in [(Kind::Read, "read by id"), (Kind::Search, "search"), (Kind::Write, "write")] {
        let of = |from: Instant, to: Instant| {
            let mut latencies: Vec<Duration> =
                samples.iter().filter(|(of, due, _)| *of == kind && *due >= from && *due < to).map(|(.., latency)| *latency).collect();
            latencies.sort_unstable();
            latencies
        };
        let (before, meanwhile) = (of(counted_from, began), of(began, began + took));
        for (label, share) in [("median", 0.5), ("99 %", 0.99), ("99.9 %", 0.999)] {
            let row = format!("{} → {}", ms(quantile(&before, share)), ms(quantile(&meanwhile, share)));
            figures.add(format!("{name}, {label}: before → meanwhile"), row);
        }
    }
    figures.add("server, peak memory", format!("{} MiB", server.peak_mib()?));
    Ok(figures)
}

/// Purges the whole account of `token`: how many resources went, when it began, and how long it took.
fn purge(server: &Server, token: &str) -> anyhow::Result<(u64, Instant, Duration)> {
    let mut connection = Connection::open(server.address)?;
    let began = Instant::now();
    let answer = connection.call(&server.request("POST", "/r4/$purge", token, ""))?;
    ensure!(answer.status == 200, "kick-off: {}", String::from_utf8_lossy(answer.body));
    let job: Value = serde_json::from_slice(answer.body)?;
    let path = format!("/r4/$purge/{}", job["job"]["id"].as_str().context("a job has an id")?);
    loop {
        std::thread::sleep(POLL_INTERVAL);
        let answer = connection.call(&server.request("GET", &path, token, ""))?;
        let job: Value = serde_json::from_slice(answer.body)?;
        match job["job"]["status"].as_str() {
            Some("in progress") => {}
            Some("successful") => return Ok((job["job"]["deletedCount"].as_u64().context("a count")?, began, began.elapsed())),
            _ => anyhow::bail!("the purge ended otherwise: {job}"),
        }
    }
}

/// One client: calls when they are due, until it is told that it is over.
fn live_calls(
    server: &Server,
    filled: &Filled,
    kind: Kind,
    place: u32,
    interval: Duration,
    first: Duration,
    is_over: &AtomicBool,
) -> anyhow::Result<Vec<Sample>> {
    let mut connection = Connection::open(server.address)?;
    let mut random = Random(u64::from(place) + 1);
    let (mut samples, mut request) = (Vec::new(), Vec::new());
    let mut due = Instant::now() + first;
    for number in 0_u64.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        match kind {
            Kind::Read => {
                let (resource_type, id) = random.pick(&filled.resources);
                server.write_get(&format!("/r4/{resource_type}/{id}"), &mut request)?;
            }
            Kind::Search => {
                let patient = &random.pick(&filled.patients).id;
                server.write_get(&format!("/r4/Observation?patient={patient}&_count=20"), &mut request)?;
            }
            Kind::Write => {
                let id = format!("live-{place}-{}", number % 1_000);
                let json = format!(
                    r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"text":"live"}},"valueInteger":{number}}}"#
                );
                request = server.request("PUT", &format!("/r4/Observation/{id}"), "", &json);
            }
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let answer = connection.call(&request)?;
        ensure!(matches!(answer.status, 200 | 201), "{kind:?}: {}", String::from_utf8_lossy(answer.body));
        samples.push((kind, due, due.elapsed()));
        due += interval;
    }
    Ok(samples)
}
