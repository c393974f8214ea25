//! A running server: the store, the worker, and the HTTP edge over them, started and stopped together.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use lethe_fhir::LocalBases;
use lethe_http::{CorsOrigin, Validation};
use lethe_jobs::PaceBounds;
use lethe_purge::RetentionRule;
use lethe_store::{SharedIssuer, Store};
use lethe_store_postgres::Held;
use lethe_worker::{Worker, WorkerOptions};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

use crate::{
    certificate_keys::FileIssuer,
    failure::Advice,
    journal::Writers,
    open_store::{KeyedStore, OpenStore, StoreOptions},
    recovery::{JournalOptions, open_journal, refuse_older},
    retention::{self, TimeOfDay},
};

/// How long a stopping server waits for calls that are still being answered.
const CALLS_WAIT: Duration = Duration::from_secs(10);
/// How long it waits for the running batches. A batch takes milliseconds; this is for a disk that hangs.
const WORKER_WAIT: Duration = Duration::from_secs(30);

/// Until a database that is out of reach is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A server that answers calls and runs jobs until it is stopped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where links in its answers lead, without `/r4`.
    pub public_url: String,
    store: KeyedStore,
    stopping: watch::Sender<bool>,
    calls: JoinHandle<std::io::Result<()>>,
    worker: JoinHandle<()>,
    /// Ends with the reason why the database is not this server's any more.
    database: JoinHandle<anyhow::Error>,
}

/// What an operator may choose.
#[derive(Default)]
pub(crate) struct ServeSettings {
    /// When what is written must be built as R4's base definitions say.
    pub(crate) validation: Validation,
    /// How much live calls may notice of jobs.
    pub(crate) pace: PaceBounds,
    /// Who operates the server.
    pub(crate) organization: Option<String>,
    /// Pages of these origins may call from a browser.
    pub(crate) cors_origins: Vec<CorsOrigin>,
    /// Where the purge journal is.
    pub(crate) journal: JournalOptions,
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
        let opened = &store.opened;
        opened.pace.set_bounds(settings.pace);
        let journal = settings.journal.path(options.key_directory());
        let writers = if options.is_shared() { Writers::Many } else { Writers::One };
        let journal = open_journal(&opened.store, Arc::clone(&opened.clock), &journal, writers, &options.flag()).await?;
        let database = tokio::spawn(watch_database(opened, options, settings.journal.path(options.key_directory())));
        let public_url = public_url.map_or_else(|| own_url(address), |url| url.trim_end_matches('/').to_owned());
        let issuer: SharedIssuer = Arc::new(FileIssuer::open(options.key_directory(), settings.organization.as_deref(), &public_url)?);

        let (stopping, stop) = watch::channel(false);
        let port: Arc<dyn Store> = Arc::clone(&store.opened.store) as Arc<dyn Store>;
        let worker = Worker::new(Arc::clone(&port), Arc::clone(&store.opened.clock), Arc::clone(&issuer), WorkerOptions::default());
        let worker = worker.with_journal(journal);
        let keeper = retention::Keeper {
            store: Arc::clone(&port),
            clock: Arc::clone(&store.opened.clock),
            bases: local_bases(address, &public_url),
            rules: settings.retention,
            at: settings.retention_at,
            wake: worker.wake(),
        };
        // A rule about nobody is told of now, and not at night.
        retention::all_due(port.as_ref(), &keeper.rules).await?;
        let app = lethe_http::App {
            store: port,
            clock: Arc::clone(&store.opened.clock),
            issuer,
            secrets: store.secrets.clone(),
            bases: local_bases(address, &public_url),
            public_url: public_url.clone(),
            validation: settings.validation,
            cors_origins: settings.cors_origins,
            pace: Arc::clone(&store.opened.pace),
            wake: worker.wake(),
        };
        let worker = tokio::spawn(worker.run(stop.clone()));
        drop(tokio::spawn(keeper.run(stop.clone())));
        let calls = tokio::spawn(async move {
            let stopped = async move {
                let mut stop = stop;
                let _ = stop.wait_for(|is_stopping| *is_stopping).await;
            };
            axum::serve(listener, lethe_http::router(Arc::new(app))).with_graceful_shutdown(stopped).await
        });
        Ok(Self { address, public_url, store, stopping, calls, worker, database })
    }

    /// Whether any client is registered; without one nobody can use the server.
    ///
    /// # Errors
    /// The store fails.
    pub async fn has_clients(&self) -> Result<bool> {
        Ok(!self.store.opened.store.clients().await?.is_empty())
    }

    pub(crate) fn store(&self) -> &KeyedStore {
        &self.store
    }

    /// Returns when the server has died, which it never should.
    pub(crate) async fn died(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = &mut self.calls => anyhow!("the server no longer listens: {ended:?}"),
            ended = &mut self.worker => anyhow!("the worker has ended: {ended:?}"),
            lost = &mut self.database => lost.unwrap_or_else(|ended| anyhow!("nobody watches the database: {ended}")),
        }
    }

    /// Accepts no more calls, lets the running batches finish, and closes the store.
    ///
    /// # Errors
    /// A batch did not finish in time; the next start goes on from the stored plan.
    pub async fn stop(self) -> Result<()> {
        self.database.abort();
        self.stopping.send_replace(true);
        let worker = timeout(WORKER_WAIT, self.worker).await;
        let calls = self.calls.abort_handle();
        if timeout(CALLS_WAIT, self.calls).await.is_err() {
            tracing::warn!("some calls were still open after {CALLS_WAIT:?}; their connections are closed");
            calls.abort();
        }
        worker
            .map_err(|_| anyhow!("a batch was still running after {WORKER_WAIT:?}; the next start goes on from the stored plan"))?
            .context("the worker has failed")
    }
}

/// Ends when a database must not be served any longer: somebody else has taken it for himself, or put an older copy in its place.
fn watch_database(opened: &OpenStore, options: &StoreOptions, journal: PathBuf) -> impl Future<Output = anyhow::Error> + use<> {
    let (store, held, flag) = (Arc::clone(&opened.store), opened.held.clone(), options.flag());
    async move {
        let Some(mut held) = held else { return std::future::pending().await };
        while held.changed().await.is_ok() {
            if *held.borrow() == Held::Lost {
                return Advice::new(
                    "the connection to the database was lost, and another lethe has taken the database for itself",
                    "start the server again when that has ended",
                )
                .into();
            }
            // It can have been put back from a copy while nobody was connected.
            while let Err(error) = refuse_older(store.as_ref(), &journal, &flag).await {
                if error.is::<Advice>() {
                    return error;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        std::future::pending().await
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
