//! `lethe serve`.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lethe_http::Validation;
use tokio::signal::unix::{SignalKind, signal};

use crate::{embedded::StoreOptions, server::Server};

/// Run the server, with its worker
///
/// SIGTERM or SIGINT: no more calls are accepted, running batches finish, exit 0. A second one: exit at once.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    store: StoreOptions,
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
        let mut server = Server::start_with(&self.store, self.listen, self.public_url.as_deref(), self.validation).await?;
        let data = self.store.data.display();
        eprintln!(
            "Lethe {} listens on http://{}, FHIR base {}/r4, data in {data}",
            env!("CARGO_PKG_VERSION"),
            server.address,
            server.public_url
        );
        if !server.has_clients().await? {
            eprintln!("No client is registered yet. Next: lethe client add NAME{}", self.store.flag());
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
