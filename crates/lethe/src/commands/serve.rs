//! `lethe serve`.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use lethe_http::{CorsOrigin, Validation};
use lethe_jobs::PaceBounds;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    open_store::StoreOptions,
    retention::{RetentionOptions, TimeOfDay},
    server::{ServeSettings, Server},
    work::WorkOptions,
};

/// Run the server, with its worker
///
/// SIGTERM or SIGINT: no more calls are accepted, running batches finish, exit 0. A second one: exit at once.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    work: WorkOptions,
    #[command(flatten)]
    retention: RetentionOptions,
    /// When the rules of retention are kept each day, in UTC
    #[arg(long, value_name = "HH:MM", default_value = "03:00")]
    retention_at: TimeOfDay,
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where clients reach the server, without /r4, when a proxy stands before it
    #[arg(long, value_name = "URL", value_parser = parse_public_url)]
    public_url: Option<String>,
    /// When what is written must be built as R4's base definitions say: off, lenient (if the client prefers handling=strict), or strict
    /// (unless it prefers handling=lenient)
    #[arg(long, value_name = "WHEN", default_value = "lenient")]
    validation: Validation,
    /// Web pages of this origin may call from a browser, for example https://app.example.org; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<CorsOrigin>,
    /// While a job runs, 99 % of reads and searches take at most so many times as long as usual
    #[arg(long, value_name = "FACTOR", default_value = "2", value_parser = parse_read_factor)]
    live_read_factor: f64,
    /// While a job runs, 99 % of writes take at most so many milliseconds longer than usual
    #[arg(long, value_name = "MS", default_value = "50", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    live_write_wait_ms: u64,
}

fn parse_read_factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| "a number is expected, for example 2 or 1.5".to_owned())?;
    if (1.1..=1_000.0).contains(&factor) { Ok(factor) } else { Err("a number from 1.1 to 1000 is expected".to_owned()) }
}

/// Without `/r4` and without a slash at the end.
pub(crate) fn parse_public_url(text: &str) -> Result<String, String> {
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err("it begins with http:// or https://".to_owned());
    }
    let url = text.trim_end_matches('/');
    Ok(url.strip_suffix("/r4").unwrap_or(url).to_owned())
}

impl Serve {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        // Before anything is started, so that no signal is missed.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let settings = ServeSettings {
            validation: self.validation,
            pace: PaceBounds { read_factor: self.live_read_factor, write_wait: Duration::from_millis(self.live_write_wait_ms) },
            cors_origins: self.cors_origin,
            work: self.work.clone(),
            retention: self.retention.retention.clone(),
            retention_at: self.retention_at,
        };
        let store = self.work.over(self.store);
        let mut server = Server::start_with(&store, self.listen, self.public_url.as_deref(), settings).await?;
        let data = store.place();
        eprintln!(
            "Lethe {} listens on http://{}, FHIR base {}/r4, data in {data}",
            env!("CARGO_PKG_VERSION"),
            server.address,
            server.public_url
        );
        if !server.has_clients().await? {
            eprintln!("No client is registered yet. Next: lethe client add NAME{}", store.flag());
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            error = server.died() => return Err(error),
        }
        eprintln!("Stopping: running batches finish first. A second signal stops at once.");
        tokio::select! {
            stopped = server.stop() => stopped?,
            // Leaving by return would wait for what is under way.
            _ = terminate.recv() => std::process::exit(1),
            _ = interrupt.recv() => std::process::exit(1),
        }
        eprintln!("Stopped.");
        Ok(ExitCode::SUCCESS)
    }
}
