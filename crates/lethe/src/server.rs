//! A running server: the store, the worker, and the HTTP edge over them, started and stopped together.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use lethe_fhir::LocalBases;
use lethe_http::{CorsOrigin, Validation};
use lethe_jobs::PaceBounds;
use lethe_purge::RetentionRule;
use lethe_store::Store;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

use crate::{
    failure::Advice,
    open_store::{KeyedStore, StoreOptions},
    retention::{self, TimeOfDay},
    work::{WorkOptions, Working},
};

/// How long a stopping server waits for calls that are still being answered.
const CALLS_WAIT: Duration = Duration::from_secs(10);

/// A server that answers calls and runs jobs until it is stopped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where links in its answers lead, without `/r4`.
    pub public_url: String,
    working: Working,
    calls: JoinHandle<std::io::Result<()>>,
}

/// What an operator may choose.
#[derive(Default)]
pub(crate) struct ServeSettings {
    /// When what is written must be built as R4's base definitions say.
    pub(crate) validation: Validation,
    /// How much live calls may notice of jobs.
    pub(crate) pace: PaceBounds,
    /// Pages of these origins may call from a browser.
    pub(crate) cors_origins: Vec<CorsOrigin>,
    /// How the jobs are worked at.
    pub(crate) work: WorkOptions,
    /// Standing rules, and when they are kept.
    pub(crate) retention: Vec<RetentionRule>,
    pub(crate) retention_at: TimeOfDay,
}

impl Server {
    /// Listens on `listen` and serves the store in `data`, which is made if there is none.
    ///
    /// # Errors
    /// The address is taken, the directory cannot be used, or another process serves it; nothing is left running.
    pub async fn start(data: &Path, listen: SocketAddr, public_url: Option<&str>) -> Result<Self> {
        Self::start_with(&StoreOptions::of_directory(data), listen, public_url, ServeSettings::default()).await
    }

    pub(crate) async fn start_with(
        options: &StoreOptions,
        listen: SocketAddr,
        public_url: Option<&str>,
        settings: ServeSettings,
    ) -> Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| {
            Advice::new(format!("cannot listen on {listen}"), "stop the program that uses this address, or choose another with --listen")
        })?;
        let address = listener.local_addr()?;
        let store = options.open_for_serving().await?;
        let public_url = public_url.map_or_else(|| own_url(address), |url| url.trim_end_matches('/').to_owned());
        // A rule about nobody is told of now, and not at night.
        retention::all_due(store.opened.store.as_ref(), &settings.retention).await?;
        let working = Working::start(store, options, &settings.work, settings.pace, &public_url).await?;
        let opened = &working.store.opened;
        let port = Arc::clone(&opened.store) as Arc<dyn Store>;
        let keeper = retention::Keeper {
            store: Arc::clone(&port),
            clock: Arc::clone(&opened.clock),
            bases: local_bases(address, &public_url),
            rules: settings.retention,
            at: settings.retention_at,
            wake: Arc::clone(&working.wake),
        };
        let app = lethe_http::App {
            store: port,
            clock: Arc::clone(&opened.clock),
            issuer: Arc::clone(&working.issuer),
            secrets: working.store.secrets.clone(),
            bases: local_bases(address, &public_url),
            public_url: public_url.clone(),
            validation: settings.validation,
            cors_origins: settings.cors_origins,
            pace: Arc::clone(&opened.pace),
            wake: Arc::clone(&working.wake),
        };
        let stop = working.stop_signal();
        drop(tokio::spawn(keeper.run(stop.clone())));
        let calls = tokio::spawn(async move {
            let stopped = async move {
                let mut stop = stop;
                let _ = stop.wait_for(|is_stopping| *is_stopping).await;
            };
            axum::serve(listener, lethe_http::router(Arc::new(app))).with_graceful_shutdown(stopped).await
        });
        Ok(Self { address, public_url, working, calls })
    }

    /// Whether any client is registered; without one nobody can use the server.
    ///
    /// # Errors
    /// The store fails.
    pub async fn has_clients(&self) -> Result<bool> {
        Ok(!self.working.store.opened.store.clients().await?.is_empty())
    }

    pub(crate) fn store(&self) -> &KeyedStore {
        &self.working.store
    }

    /// Returns when the server has died, which it never should.
    pub(crate) async fn died(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = &mut self.calls => anyhow!("the server no longer listens: {ended:?}"),
            error = self.working.died() => error,
        }
    }

    /// Accepts no more calls, lets the running batches finish, and closes the store.
    ///
    /// # Errors
    /// A batch did not finish in time; the next start goes on from the stored plan.
    pub async fn stop(self) -> Result<()> {
        let open_calls = self.calls;
        let calls = async {
            let abort = open_calls.abort_handle();
            if timeout(CALLS_WAIT, open_calls).await.is_err() {
                tracing::warn!("some calls were still open after {CALLS_WAIT:?}; their connections are closed");
                abort.abort();
            }
        };
        self.working.stop(calls).await
    }
}

/// Where a server on this address can be reached from the same machine.
fn own_url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("http://127.0.0.1:{}", address.port()) } else { format!("http://{address}") }
}

/// Absolute references to these addresses are references to this server.
fn local_bases(address: SocketAddr, public_url: &str) -> LocalBases {
    let localhost = format!("http://localhost:{}", address.port());
    LocalBases::new([public_url, &own_url(address), &format!("http://{address}"), &localhost])
}
