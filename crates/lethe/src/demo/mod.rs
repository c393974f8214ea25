//! The main job, shown on a throw-away server: upload, purge, proof. Everything goes over HTTP, as a client would do it.
//!
//! Both accounts get the *same* resources under the same ids, so that a purge that strayed into the other account would show.

mod account;
mod certificate;
mod curl_lines;
mod parallel;
mod proof;
mod upload;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use lethe_auth::AuthMethods;
use reqwest::Method;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    commands::{
        client::{AddedClient, add_client},
        purge::preview_lines,
    },
    population::{Marker, Population},
    progress::rate,
    purge_watch::{JobView, watch_to_end},
    server::Server,
    terminal::{Paint, grouped},
};
use account::DemoAccount;
use proof::Proof;

/// Strings planted in each account, spread over narrative, identifiers, names, Binary content and earlier versions.
const MARKERS_PER_ACCOUNT: usize = 50;

/// What the demo purges: everything, what FHIR deletes left behind included.
const SELECTION: &str = "_includeDeleted=true";

/// What is shown.
pub(crate) struct DemoPlan {
    pub(crate) patients: u64,
    pub(crate) seed: u64,
    pub(crate) keep: bool,
}

impl DemoPlan {
    fn population(&self) -> Population {
        Population::new(self.seed, self.patients)
    }

    /// The strings of one account; no other has them.
    fn markers(&self, account: u64) -> Vec<Marker> {
        Marker::series(self.seed.wrapping_mul(2).wrapping_add(account), MARKERS_PER_ACCOUNT)
    }
}

/// Runs it; exit 0 only if every proof holds.
///
/// # Errors
/// The demo itself could not be run.
pub(crate) async fn run_demo(plan: &DemoPlan) -> Result<ExitCode> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let directory = tempfile::Builder::new().prefix("lethe-demo-").tempdir().context("there is no room for a temporary store")?;
    // Ended by a signal the demo must still remove its directory, which happens when `directory` goes out of scope.
    let shown = tokio::select! {
        shown = show(plan, directory.path()) => shown?,
        _ = terminate.recv() => bail!("stopped by a signal"),
        _ = interrupt.recv() => bail!("stopped by a signal"),
    };
    if plan.keep {
        curl_lines::print(Paint::for_stdout(), &shown);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    shown.server.stop().await?;
    Ok(if shown.holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is there when everything has been shown.
struct Shown {
    server: Server,
    client: AddedClient,
    purged: DemoAccount,
    bystander: DemoAccount,
    job_id: String,
    holds: bool,
}

async fn show(plan: &DemoPlan, directory: &Path) -> Result<Shown> {
    let paint = Paint::for_stdout();
    println!("{}", paint.bold(&format!("Lethe {}, shown on a throw-away server", env!("CARGO_PKG_VERSION"))));

    step(paint, 1, "A server, a client and two accounts");
    let server = Server::start(directory, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None).await?;
    let client = add_client(server.store(), "demo", AuthMethods::Both, false).await?;
    let purged = DemoAccount::create(&server, &client, "alice", plan.markers(0)).await?;
    let bystander = DemoAccount::create(&server, &client, "bob", plan.markers(1)).await?;
    println!("   {}/r4, embedded store in {}", server.public_url, directory.display());
    println!("   account {} ({}) will be purged; account {} ({}) must not change", purged.id, purged.name, bystander.id, bystander.name);

    step(paint, 2, &format!("The same {} patients for both, uploaded over HTTP", grouped(plan.patients)));
    let uploaded = upload::upload(plan, &[&purged, &bystander]).await?;
    println!(
        "   {} versions and deletions in {:.1} s, {}/s",
        grouped(uploaded.changes),
        uploaded.elapsed.as_secs_f64(),
        grouped(rate(uploaded.changes, uploaded.elapsed))
    );
    let before = Proof::look(plan, directory, &purged, &bystander).await?;
    println!("   {}", before.describe_bytes());

    step(paint, 3, &format!("GET /r4/$purge-preview?{SELECTION}"));
    let digest = preview(paint, &purged).await?;

    let kick_off = format!("/$purge?{SELECTION}&_reason=demo&_expect={digest}");
    step(paint, 4, &format!("POST /r4{kick_off}"));
    let (job_id, job) = purge(paint, &purged, &kick_off).await?;

    step(paint, 5, "The certificate");
    let first = plan.population().next().context("a population has resources")?;
    let evidence = certificate::look(paint, &server, &purged, &job, &format!("{}/{}", first.resource_type, first.id)).await?;

    step(paint, 6, "The proof");
    let after = Proof::look(plan, directory, &purged, &bystander).await?;
    proof::print_counts(&before, &after);
    println!();
    let holds = proof::print_verdict(paint, &before, &after, &job, evidence)?;
    Ok(Shown { server, client, purged, bystander, job_id, holds })
}

/// Shows what the purge would do; gives back the digest that holds it to that.
async fn preview(paint: Paint, account: &DemoAccount) -> Result<String> {
    let path = format!("/$purge-preview?{SELECTION}");
    let answer = account.api.send(account.api.request(Method::GET, &path)).await?.success()?.json()?;
    let preview = &answer["preview"];
    for line in preview_lines(preview) {
        println!("   {}", paint.dim(&line));
    }
    println!("   nothing has been removed, and the kick-off starts nothing if this has changed by then");
    preview["digest"].as_str().map(str::to_owned).context("the preview has a digest")
}

/// Purges the account and prints the job as the API gives it.
async fn purge(paint: Paint, account: &DemoAccount, kick_off: &str) -> Result<(String, JobView)> {
    let kicked_off = Instant::now();
    let answer = account.api.send(account.api.request(Method::POST, kick_off)).await?.success()?;
    println!("   answered in {:.1} ms, whatever is stored", kicked_off.elapsed().as_secs_f64() * 1_000.0);
    let job_id = JobView::of(&answer)?.id()?.to_owned();
    let (_, job) = watch_to_end(&account.api, &format!("/$purge/{job_id}")).await?;
    let seconds = kicked_off.elapsed().as_secs_f64();
    let deleted = job.count("deletedCount").context("the job tells what it deleted")?;
    println!("   {}: {} resources removed in {seconds:.2} s", paint.bold(job.status()?), grouped(deleted));
    println!("   GET /r4/$purge/{job_id}");
    for line in job.to_lines() {
        println!("   {}", paint.dim(&line));
    }
    Ok((job_id, job))
}

fn step(paint: Paint, number: u32, title: &str) {
    println!("\n{}", paint.bold(&format!("{number}. {title}")));
}
