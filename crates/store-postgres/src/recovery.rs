//! Which store and which history this is, how far its journal is known, and purges on record carried out again.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lethe_store::{JobId, JournalMark, Lineage, PurgeJob, RecordedPurge, Recovery, RemovedPart, SharedIssuer, Still, StoreError};
use uuid::Uuid;

use crate::{
    PostgresStore,
    columns::{NumberColumn, seq},
    connections::Durability,
    error::Result,
    purge,
    transaction::Tx,
};

const SELECT_LINEAGE: &str = include_str!("../sql/recovery/lineage.sql");
const SET_LINE: &str = include_str!("../sql/recovery/set_line.sql");
const FORGET_JOURNAL: &str = include_str!("../sql/recovery/forget_journal.sql");
const SET_MARK: &str = include_str!("../sql/recovery/set_mark.sql");
const WAIT_SHORTLY: &str = include_str!("../sql/recovery/wait_shortly.sql");
const LOCK_ALL: &str = include_str!("../sql/recovery/lock_all_accounts.sql");

/// How long a transaction that is open may keep all accounts from being locked. A server that is stopped in one loses it before.
const STILL_WAIT_MAX: Duration = Duration::from_secs(90);
/// Between two attempts.
const STILL_PAUSE: Duration = Duration::from_millis(500);

type Answer<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Recovery for PostgresStore {
    async fn lineage(&self) -> Answer<Lineage> {
        self.connections.read(|tx| async move { lineage(&tx).await }).await
    }

    async fn still(&self) -> Answer<Box<dyn Still + '_>> {
        let began = Instant::now();
        loop {
            let tx = self.connections.begin(Durability::OnDisk).await?;
            // Who waits for the lock keeps all writers waiting: only for a moment, and then again.
            tx.run(WAIT_SHORTLY).await?;
            match tx.run(LOCK_ALL).await {
                Ok(()) => return Ok(Box::new(Locked(tx))),
                Err(error) => {
                    tx.roll_back().await?;
                    let error = StoreError::from(error);
                    if !matches!(error, StoreError::Unavailable(_)) || began.elapsed() > STILL_WAIT_MAX {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(STILL_PAUSE).await;
        }
    }

    async fn set_mark(&self, mark: JournalMark) -> Answer<()> {
        self.recover(|tx| async move { set_mark(&tx, mark).await }).await
    }

    async fn forget_journal(&self) -> Answer<()> {
        self.recover(|tx| async move { tx.execute(FORGET_JOURNAL, &[]).await.map(drop) }).await
    }

    async fn unrecorded(&self) -> Answer<Vec<PurgeJob>> {
        self.connections.read(|tx| async move { purge::recorded::unrecorded(&tx).await }).await
    }

    async fn forget_recorded(&self, job_id: JobId, mark: JournalMark) -> Answer<()> {
        self.recover(|tx| async move {
            purge::recorded::forget(&tx, job_id).await?;
            set_mark(&tx, mark).await
        })
        .await
    }

    async fn is_in_progress(&self, job_id: JobId) -> Answer<bool> {
        self.connections.read(|tx| async move { purge::recorded::is_in_progress(&tx, job_id).await }).await
    }

    async fn count_current(&self, part: &RemovedPart) -> Answer<u64> {
        self.connections.read(|tx| async move { purge::recorded::count_current(&tx, part).await }).await
    }

    async fn fail_in_progress(&self, why: &str, issuer: &SharedIssuer) -> Answer<Vec<PurgeJob>> {
        let now = self.clock.now();
        self.recover(|tx| async move { purge::recorded::fail_in_progress(&tx, why, issuer.as_ref(), now).await }).await
    }

    async fn adopt(&self, purge: &RecordedPurge) -> Answer<()> {
        self.recover(|tx| async move { purge::recorded::adopt(&tx, purge).await }).await
    }

    async fn adopt_part(&self, job_id: JobId, part: &RemovedPart) -> Answer<u64> {
        self.recover(|tx| async move { purge::recorded::adopt_part(&tx, job_id, part).await }).await
    }

    async fn seal_adopted(&self, job_id: JobId) -> Answer<()> {
        let now = self.clock.now();
        self.recover(|tx| async move { purge::recorded::seal(&tx, job_id, now).await }).await
    }
}

/// All accounts are locked: whoever had places has committed or given up, and nobody takes any. With a place that is given out while a line begins, a
/// copy could stand on the old line behind the place where the new one leaves it.
struct Locked(Tx);

#[async_trait]
impl Still for Locked {
    async fn lineage(&self) -> Answer<Lineage> {
        Ok(lineage(&self.0).await?)
    }

    async fn begin_line(self: Box<Self>, line: Uuid, mark: JournalMark) -> Answer<()> {
        self.0.execute(SET_LINE, &[&line]).await?;
        set_mark(&self.0, mark).await?;
        Ok(self.0.commit().await?)
    }
}

impl PostgresStore {
    async fn recover<T, F, Done>(&self, work: F) -> Answer<T>
    where
        F: Fn(Tx) -> Done,
        Done: Future<Output = Result<T>>,
    {
        Ok(self.connections.write(Durability::OnDisk, work).await?)
    }
}

async fn lineage(tx: &Tx) -> Result<Lineage> {
    let row = tx.row(SELECT_LINEAGE, &[]).await?;
    let (record, hash) = (row.try_get::<_, Option<NumberColumn>>(2)?, row.try_get::<_, Option<&[u8]>>(3)?);
    let not_understood = |_| StoreError::NotUnderstood("lineage.journal_hash".to_owned());
    let mark = match record.zip(hash) {
        Some((record, hash)) => Some(JournalMark { record: record.0, hash: hash.try_into().map_err(not_understood)? }),
        None => None,
    };
    Ok(Lineage { store_id: row.try_get(0)?, line: row.try_get(1)?, mark, last_seq: seq(&row, 4)? })
}

/// Notes how far the journal is known. Two servers that were told of it one after the other may come here the other way round: it never goes back.
pub(crate) async fn set_mark(tx: &Tx, mark: JournalMark) -> Result<()> {
    tx.execute(SET_MARK, &[&NumberColumn(mark.record), &mark.hash.as_slice()]).await?;
    Ok(())
}
