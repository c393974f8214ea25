//! Who has the database: any number of servers share it, and whoever must have it to himself keeps them out, and is kept out by them.
//!
//! Each holds an advisory lock on a connection of its own: when the process dies, PostgreSQL takes it back.

use std::time::{Duration, Instant};

use lethe_store::StoreError;
use tokio::{sync::watch, task::JoinHandle};
use tokio_postgres::Client;

use crate::{address::Address, connections::limited, error::Result};

const SHARE: &str = include_str!("../sql/presence/share.sql");
const TAKE_ALONE: &str = include_str!("../sql/presence/take_alone.sql");

/// Between two attempts to come back.
const COME_BACK_PAUSE: Duration = Duration::from_secs(1);

/// How long somebody else may have the lock.
const TAKE_WAIT: Duration = Duration::from_secs(3);
/// Between two looks whether he still has it.
const TAKE_PAUSE: Duration = Duration::from_millis(100);

/// How a process has the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// As one of its servers. How often the connection was lost and made again: the database may have been put back meanwhile.
    Shared {
        /// How often.
        came_back: u64,
    },
    /// Nobody else serves it.
    Alone,
    /// No longer: when the connection was lost, somebody took the database for himself.
    Lost,
}

/// Held until it is dropped.
pub(crate) struct Presence {
    held: watch::Receiver<Held>,
    keeper: JoinHandle<()>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// A connection that holds the lock, and the task that drives it.
struct Connected {
    /// Kept because the connection closes without it.
    _client: Client,
    ended: JoinHandle<()>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.ended.abort();
    }
}

impl Presence {
    /// Takes the lock; `None` if somebody else has it.
    pub(crate) async fn take(address: &Address, wanted: Held) -> std::result::Result<Option<Self>, StoreError> {
        let statement = if wanted == Held::Alone { TAKE_ALONE } else { SHARE };
        let address = limited(address, TAKE_WAIT);
        let began = Instant::now();
        // PostgreSQL takes a lock back a moment after the process that had it has ended.
        let connected = loop {
            match connect(&address, statement).await? {
                Some(connected) => break connected,
                None if began.elapsed() > TAKE_WAIT => return Ok(None),
                None => tokio::time::sleep(TAKE_PAUSE).await,
            }
        };
        let (tell, held) = watch::channel(wanted);
        let keeper = tokio::spawn(keep(address, connected, wanted, tell));
        Ok(Some(Self { held, keeper }))
    }

    /// Changes when the connection was lost.
    pub(crate) fn held(&self) -> watch::Receiver<Held> {
        self.held.clone()
    }
}

async fn connect(address: &Address, statement: &str) -> Result<Option<Connected>> {
    let (client, connection) = address.connect().await?;
    let ended = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the connection that keeps this server's place in the database ended"
            );
        }
    });
    let connected = Connected { _client: client, ended };
    let is_taken: bool = connected._client.query_one(statement, &[]).await?.try_get(0)?;
    Ok(is_taken.then_some(connected))
}

/// Comes back whenever the connection is lost.
async fn keep(address: Address, mut connected: Connected, wanted: Held, tell: watch::Sender<Held>) {
    let mut came_back = 0;
    loop {
        // OK to look away from how it ended: that has been told.
        let _ = (&mut connected.ended).await;
        if wanted == Held::Alone {
            tracing::error!("the connection that kept others out of the database is lost");
            tell.send_replace(Held::Lost);
            return;
        }
        tracing::warn!("the database ended this server's connection; it comes back as soon as it can");
        connected = loop {
            tokio::time::sleep(COME_BACK_PAUSE).await;
            match connect(&address, SHARE).await {
                Ok(Some(connected)) => break connected,
                Ok(None) => {
                    tell.send_replace(Held::Lost);
                    return;
                }
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "the database is still out of reach"),
            }
        };
        came_back += 1;
        tell.send_replace(Held::Shared { came_back });
    }
}
