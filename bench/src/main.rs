//! Measures import and purge of a store and prints one table.
//!
//! `cargo run --release -p lethe-bench` fills a database for each size, copies it for each scenario, and runs every scenario in a process
//! of its own, so that peak memory is that scenario's. Wall time on a shared machine wobbles: compare within one run.

mod fill;
mod layouts;
mod live;
mod measure;
mod place;
mod postgres_layouts;
mod scenario;
mod serve;
mod table;

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use layouts::Layout;
use lethe_auth::AccountId;
use measure::Figures;
use place::Place;
use scenario::Case;

/// Measures import and purge of the embedded store, or of one on PostgreSQL, and prints one table.
#[derive(Parser)]
struct Arguments {
    /// Resources in the account that is purged, one table column each.
    #[arg(long, value_delimiter = ',', default_value = "100000,1000000")]
    resources: Vec<u64>,
    /// Directory for the databases; a temporary one if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A server of PostgreSQL instead, on which databases are made and dropped whose names begin with lethe_bench: postgres://USER@HOST:PORT/postgres.
    #[arg(long)]
    database_url: Option<String>,
    /// Only these scenarios.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Case>,
    #[command(subcommand)]
    step: Option<Step>,
}

/// One process of a run; the driver starts these itself.
#[derive(Subcommand)]
enum Step {
    /// Fills a database.
    #[command(hide = true)]
    Fill {
        /// Where.
        #[command(flatten)]
        place: Place,
        /// How many resources.
        #[arg(long)]
        resources: u64,
    },
    /// Compares layouts of the search index: docs/adr/0021.
    Layouts {
        /// Resources in each.
        #[arg(long, default_value_t = 300_000)]
        resources: u64,
        /// Only these.
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<Layout>,
    },
    /// Runs one layout.
    #[command(hide = true)]
    Layout {
        /// Which.
        layout: Layout,
        /// Where.
        dir: PathBuf,
        /// How many resources.
        resources: u64,
    },
    /// Compares layouts of the search index on PostgreSQL.
    PostgresLayouts {
        /// The database in which a schema for it is made and dropped: postgres://user:password@host:port/database.
        url: String,
        /// Resources in each.
        #[arg(long, default_value_t = 900_000)]
        resources: u64,
        /// Only these.
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<postgres_layouts::Layout>,
    },
    /// Runs one scenario.
    #[command(hide = true)]
    Run {
        /// Which.
        #[arg(long, value_enum)]
        case: Case,
        /// Over which database.
        #[command(flatten)]
        place: Place,
    },
    /// Measures the server over HTTP and prints a table of its own.
    Serve(serve::Options),
    /// Measures what live calls notice of a purge, and prints a table of its own.
    Quiet(serve::QuietOptions),
    /// Fills a database that is then served.
    #[command(hide = true)]
    ServeFill {
        /// Where.
        #[command(flatten)]
        place: Place,
        /// Which account.
        #[arg(long)]
        account_id: i64,
        /// How many resources.
        #[arg(long)]
        resources: u64,
        /// How many more accounts, each with a few resources.
        #[arg(long)]
        beside: u64,
    },
    /// The `lethe` command, so that what is measured is always of this build.
    #[command(hide = true)]
    Lethe {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match &arguments.step {
        None => drive(&arguments),
        Some(Step::Fill { place, resources }) => print(&runtime()?.block_on(fill::fill(place, *resources))?),
        Some(Step::Layouts { resources, only }) => drive_layouts(&arguments, *resources, only),
        Some(Step::Layout { layout, dir, resources }) => print(&layouts::run(dir, *layout, *resources)?),
        Some(Step::PostgresLayouts { url, resources, only }) => runtime()?.block_on(drive_postgres_layouts(url, *resources, only)),
        Some(Step::Run { case, place }) => print(&runtime()?.block_on(scenario::run(*case, place))?),
        Some(Step::Serve(options)) => serve::drive(options),
        Some(Step::Quiet(options)) => serve::drive_quiet(options),
        Some(Step::ServeFill { place, account_id, resources, beside }) => {
            print(&runtime()?.block_on(serve::fill(place, AccountId(*account_id), *resources, *beside))?)
        }
        Some(Step::Lethe { arguments: line }) => {
            let name = OsString::from("lethe");
            let ended = lethe::command_line::run(std::iter::once(name).chain(line.iter().cloned()));
            ensure!(ended == ExitCode::SUCCESS, "the lethe command failed");
            Ok(())
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

fn print(figures: &Figures) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(figures)?);
    Ok(())
}

fn drive(arguments: &Arguments) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let root = arguments.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let cases: Vec<Case> = Case::ALL.into_iter().filter(|case| arguments.only.is_empty() || arguments.only.contains(case)).collect();
    let mut columns = Vec::new();
    let (runtime, server) = (runtime()?, arguments.database_url.as_deref());
    for resources in &arguments.resources {
        let filled = Place::named(&root, server, &format!("filled_{resources}"))?;
        let copy = Place::named(&root, server, "copy")?;
        eprintln!("{resources} resources: filling");
        let step_of = |name: &str, place: &Place, option: String| {
            let arguments: Vec<OsString> = std::iter::once(name.into()).chain(place.arguments()).chain([option.into()]).collect();
            step(&arguments.iter().map(OsString::as_os_str).collect::<Vec<_>>())
        };
        let mut figures = vec![step_of("fill", &filled, format!("--resources={resources}"))?];
        for case in &cases {
            runtime.block_on(filled.copy_to(&copy))?;
            eprintln!("{resources} resources: {}", case.label());
            figures.push(step_of("run", &copy, format!("--case={}", case.name()))?);
            runtime.block_on(copy.remove())?;
        }
        runtime.block_on(filled.remove())?;
        columns.push((*resources, figures));
    }
    println!("{}", table::render(if server.is_some() { "PostgreSQL" } else { "embedded store" }, &columns));
    Ok(())
}

/// One column a layout, each in a process and on a file of its own.
fn drive_layouts(arguments: &Arguments, resources: u64, only: &[Layout]) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let root = arguments.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut columns = Vec::new();
    for layout in Layout::ALL.into_iter().filter(|layout| only.is_empty() || only.contains(layout)) {
        let dir = root.join("layout");
        eprintln!("{}", layouts::label(layout));
        let name = layout.to_possible_value().context("a layout has a name")?;
        let figures = step(&["layout".as_ref(), name.get_name().as_ref(), dir.as_os_str(), resources.to_string().as_ref()])?;
        std::fs::remove_dir_all(&dir)?;
        columns.push((layouts::label(layout).to_owned(), vec![figures]));
    }
    println!("{}", table::render_named("search index", &columns));
    Ok(())
}

/// One column a layout, one after the other in the same database.
async fn drive_postgres_layouts(url: &str, resources: u64, only: &[postgres_layouts::Layout]) -> anyhow::Result<()> {
    let mut columns = Vec::new();
    for layout in postgres_layouts::Layout::ALL.into_iter().filter(|layout| only.is_empty() || only.contains(layout)) {
        eprintln!("{}", layout.label());
        columns.push((layout.label().to_owned(), vec![postgres_layouts::run(url, layout, resources).await?]));
    }
    println!("{}", table::render_named("PostgreSQL", &columns));
    Ok(())
}

/// Runs one step in a process of its own and reads its figures.
fn step(arguments: &[&std::ffi::OsStr]) -> anyhow::Result<Figures> {
    let output = Command::new(std::env::current_exe()?).args(arguments).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "a step of the benchmark failed: {}", output.status);
    serde_json::from_slice(&output.stdout).context("a step of the benchmark printed no figures")
}
