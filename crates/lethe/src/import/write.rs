//! Writes → batches → the store, with patience for a store that is busy.

use std::time::Duration;

use anyhow::{Context, Result};
use lethe_auth::AccountId;
use lethe_store::{Change, Resources, StoreError, Write, WriteError, WriteOutcome};

use super::summary::ImportSummary;
use crate::failure::Advice;

/// A batch is full at so many resources or bytes. One batch is one transaction: larger ones gain little and keep other writers waiting.
const BATCH_WRITES: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// Waits between attempts while the store is busy: about a minute together.
const BACK_OFF_MS: [u64; 9] = [50, 100, 250, 500, 1_000, 3_000, 5_000, 20_000, 30_000];

/// Collects writes and stores a batch when it is full.
pub(super) struct BatchWriter<'a> {
    store: &'a dyn Resources,
    account_id: AccountId,
    batch: Vec<Write>,
    batch_bytes: usize,
}

impl<'a> BatchWriter<'a> {
    pub(super) fn new(store: &'a dyn Resources, account_id: AccountId) -> Self {
        Self { store, account_id, batch: Vec::with_capacity(BATCH_WRITES), batch_bytes: 0 }
    }

    pub(super) async fn push(&mut self, write: Write, summary: &mut ImportSummary, say: impl Fn(&str)) -> Result<()> {
        if let Change::Put { body, .. } = &write.change {
            self.batch_bytes += body.as_bytes().len();
        }
        self.batch.push(write);
        if self.batch.len() < BATCH_WRITES && self.batch_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.flush(summary, say).await
    }

    /// Stores what is left.
    pub(super) async fn flush(&mut self, summary: &mut ImportSummary, say: impl Fn(&str)) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH_WRITES));
        self.batch_bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let types: Vec<_> = batch.iter().map(|write| write.resource_type).collect();
        let outcomes = self.store_patiently(batch, say).await.with_context(|| {
            let advice =
                "what had been written stays; once the cause is mended, run the import again (what is there already gets another version)";
            Advice::new(format!("the import stopped after {} resources", summary.stored()), advice)
        })?;
        for (resource_type, outcome) in types.into_iter().zip(outcomes) {
            summary.count(resource_type, outcome.kind);
        }
        Ok(())
    }

    async fn store_patiently(&self, batch: Vec<Write>, say: impl Fn(&str)) -> Result<Vec<WriteOutcome>, WriteError> {
        for wait_ms in BACK_OFF_MS {
            match self.store.write(self.account_id, batch.clone()).await {
                Err(WriteError::Store(StoreError::Unavailable(cause) | StoreError::OutOfReach(cause))) => {
                    if wait_ms >= 1_000 {
                        say(&format!("the store is busy ({cause}); the next attempt is in {} s", wait_ms / 1_000));
                    }
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
                ended => return ended,
            }
        }
        self.store.write(self.account_id, batch).await
    }
}
