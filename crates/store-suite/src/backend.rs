//! What the suite needs of an adapter beside the ports.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use lethe_fhir::Instant;
use lethe_purge::Seq;
use lethe_store::{Clock, Store, residence::Residence};

/// One adapter over an empty database of its own, which goes when this is dropped.
#[async_trait]
pub trait Backend: Send + Sync + Sized + 'static {
    /// Opens an empty database.
    async fn open(clock: Arc<TestClock>) -> Self;
    /// The ports.
    fn store(&self) -> Arc<dyn Store>;
    /// Closes and opens the database again, as a server that starts: leases of the dead one end.
    async fn restart(&mut self);
    /// Names of all tables that the schema has now.
    async fn tables(&self) -> Vec<String>;
    /// Rows of a table.
    async fn rows(&self, table: &str) -> u64;
    /// Puts a row that no purge would leave into a residence: one of the `Patient` of account `account` that is gone.
    async fn plant_leftover(&self, residence: &str, account: i64);
    /// The tables that hold resource data: [`RESIDENCES`](lethe_store::residence::RESIDENCES), and index rows where there are any.
    fn residences() -> Vec<Residence>;
    /// Puts bytes that no purge would leave into a file, where no row is, and returns what the probe calls that place. `None` if this adapter has no
    /// such probe.
    async fn plant_bytes(&self) -> Option<&'static str>;
    /// Puts other bytes in the place of the stored body of a version, as a damaged disk would, and returns those that were there.
    async fn exchange_body(&self, seq: Seq, body: Vec<u8>) -> Vec<u8>;
    /// The files in which the database keeps its bytes, if this adapter erases them.
    fn files(&self) -> Vec<PathBuf>;
    /// Whether `successful` means that the bytes are gone from the files, too.
    fn erases_files() -> bool;
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl Default for TestClock {
    fn default() -> Self {
        // 2024-01-01T00:00:00Z
        Self(AtomicI64::new(1_704_067_200_000))
    }
}

impl TestClock {
    /// Moves it, backwards if negative.
    pub fn advance_ms(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        Instant::from_unix_ms(self.0.load(Ordering::SeqCst))
    }
}
