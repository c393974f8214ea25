//! Measures the server over HTTP: reads, searches and transactions against one account of each size, and prints one table.
//!
//! The account is filled through the port, as an import does. Then the real server runs in a process of its own, and this process asks
//! it over keep-alive connections. Both share the machine's processors, so what each of them used is shown beside the rates.

mod bundles;
mod connection;
mod filled;
mod load;
mod questions;
mod quiet;
mod random;
mod server;

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};

use lethe_auth::AccountId;

use crate::{
    fill::{add_beside, write_population},
    measure::{Figures, cpu_seconds, peak_mib, rate, thousands},
    place::Place,
    runtime, table,
};
pub use quiet::{Options as QuietOptions, drive as drive_quiet};

use bundles::Bundles;
use filled::Filled;
use load::{Measured, RunFor};
use server::{Server, Tenant};

/// The seed of the population: of what is filled, and of what is sent.
const SEED: u64 = 1;
/// How long the server is asked before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// What is measured, and how long.
#[derive(clap::Args)]
pub struct Options {
    /// Resources in the account, one table column each.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,900000")]
    resources: Vec<u64>,
    /// Directory for the databases; a temporary one if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A server of PostgreSQL instead, on which databases are made and dropped whose names begin with lethe_bench: postgres://USER@HOST:PORT/postgres.
    #[arg(long)]
    database_url: Option<String>,
    /// Only what has this in its name, for example 'read by id'.
    #[arg(long)]
    only: Option<String>,
    /// Length of one run in seconds. After a second of warming up three are done, and the median counts.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
}

/// Measures each size and prints the table.
pub fn drive(options: &Options) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let root = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let (mut columns, mut failures) = (Vec::new(), 0);
    for resources in &options.resources {
        let place = Place::named(&root, options.database_url.as_deref(), &format!("served_{resources}"))?;
        runtime()?.block_on(place.create())?;
        let figures = measure_size(options, &place, *resources, &mut failures)?;
        columns.push((format!("{} resources", thousands(*resources)), figures));
        runtime()?.block_on(place.remove())?;
    }
    println!("{}", table::render_named("over HTTP", &columns));
    anyhow::ensure!(failures == 0, "{failures} of the loads failed");
    Ok(())
}

/// Fills the account, and others beside it: a step of its own, so that its memory and processor time are not those of what follows.
pub async fn fill(place: &Place, account_id: AccountId, resources: u64, beside: u64) -> anyhow::Result<Figures> {
    let store = place.open().await?;
    add_beside(&store, place, beside).await?;
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    let bytes = write_population(&store, &place.dir, account_id, SEED, resources).await?;
    let mut figures = Figures::default();
    figures.add("import through the port", rate(resources, start.elapsed()));
    figures.add("import, processor", format!("{:.1} s", cpu_seconds()? - cpu));
    figures.add("import, peak memory", format!("{} MiB", peak_mib()?));
    figures.add("JSON per resource", format!("{} B", thousands(bytes / resources)));
    drop(store);
    place.settle().await?;
    figures.add("database", format!("{} MiB", thousands(place.bytes().await? >> 20)));
    Ok(figures)
}

fn measure_size(options: &Options, place: &Place, resources: u64, failures: &mut u64) -> anyhow::Result<Vec<Figures>> {
    let is_wanted = |name: &str| options.only.as_deref().is_none_or(|only| name.contains(only));
    let size = thousands(resources);
    eprintln!("{size} resources: filling");
    let tenant = Tenant::create(place)?;
    let imported = fill_step(place, &tenant, resources, 0)?;
    let filled = Filled::again(SEED, resources)?;
    let server = Server::start(place, &tenant)?;
    let time = RunFor { warm_up: WARM_UP, run: Duration::from_secs_f64(options.seconds) };
    let (mut figures, mut others) = (Figures::default(), Vec::new());
    let mut taken = |name: &str, measured: anyhow::Result<Measured>| match measured {
        Ok(measured) => {
            others.push(measured.others);
            Some(measured)
        }
        Err(error) => {
            eprintln!("{size} resources, {name}: {error:#}");
            *failures += 1;
            None
        }
    };

    for question in questions::all(&filled) {
        if is_wanted(question.name) {
            eprintln!("{size} resources: {}", question.name);
            let measured = taken(question.name, load::of_question(&server, time, &question));
            if question.connections == 1 {
                add_latency(&mut figures, question.name, measured.as_ref());
            } else {
                let name = format!("{}, {} connections", question.name, question.connections);
                add_rate(&mut figures, &name, 1, measured.as_ref());
            }
        }
    }
    // Last, because only they change what the others find.
    let mut stored = resources;
    for kind in bundles::KINDS.into_iter().filter(|kind| is_wanted(kind.name)) {
        eprintln!("{size} resources: {}", kind.name);
        let measured = taken(kind.name, load::of_bundles(&server, time, Bundles::behind(&filled, kind)));
        let (name, entries) = (format!("{}, {} connections", kind.name, kind.connections), kind.entries as u64);
        add_rate(&mut figures, &name, entries, measured.as_ref());
        let written = |measured: &Measured| thousands(measured.written_bytes / (measured.answers * entries));
        figures.add("– bytes written to the disk per resource", shown(measured.as_ref(), written));
        stored += measured.map_or(0, |measured| measured.all_answers * entries);
    }
    figures.add("resources afterwards", thousands(stored));
    figures.add("server, peak memory", format!("{} MiB", server.peak_mib()?));
    let mean = others.iter().sum::<f64>() / others.len().max(1) as f64;
    figures.add("processors that others used, mean", format!("{mean:.2}"));
    Ok(vec![imported, figures])
}

/// Runs [`fill`] in a process of its own.
fn fill_step(place: &Place, tenant: &Tenant, resources: u64, beside: u64) -> anyhow::Result<Figures> {
    let counts = [("account-id", tenant.account_id.unsigned_abs()), ("resources", resources), ("beside", beside)];
    let mut arguments = vec!["serve-fill".into()];
    arguments.extend(place.arguments());
    arguments.extend(counts.map(|(name, count)| format!("--{name}={count}").into()));
    crate::step(&arguments.iter().map(OsString::as_os_str).collect::<Vec<_>>())
}

/// One row: for what is asked by one client at a time.
fn add_latency(figures: &mut Figures, name: &str, measured: Option<&Measured>) {
    let row = shown(measured, |measured| format!("{}; {} µs; {}", measured.latencies(), measured.server_us(1), measured.bytes_each()));
    figures.add(format!("{name}: median, 99 %; processor of the server; bytes"), row);
}

/// Three rows: for what many clients ask at once. One answer is worth `each` of what is counted.
fn add_rate(figures: &mut Figures, name: &str, each: u64, measured: Option<&Measured>) {
    let (one, many) = if each == 1 { ("request", "requests") } else { ("resource", "resources") };
    figures.add(format!("{name}: {many}"), shown(measured, |measured| rate(measured.answers * each, measured.elapsed)));
    figures.add("– median, 99 %; bytes", shown(measured, |measured| format!("{}; {}", measured.latencies(), measured.bytes_each())));
    figures.add(
        format!("– processor of the server, of the client; of the server per {one}"),
        shown(measured, |measured| format!("{:.1} s, {:.1} s; {} µs", measured.server_cpu, measured.client_cpu, measured.server_us(each))),
    );
}

fn shown(measured: Option<&Measured>, text: impl Fn(&Measured) -> String) -> String {
    measured.map_or_else(|| "failed".to_owned(), text)
}
