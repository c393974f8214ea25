//! Which store and which history this is, how far its journal is known, and purges on record carried out again.

use std::sync::Arc;

use async_trait::async_trait;
use lethe_store::{JobId, JournalMark, Lineage, PurgeJob, RecordedPurge, Recovery, RemovedPart, SharedIssuer, Still, StoreError};
use rusqlite::{Transaction, params};
use uuid::Uuid;

use crate::{
    SqliteStore,
    columns::SeqColumn,
    connections::Durability,
    error::{Error, Result},
    purge,
};

const SELECT_LINEAGE: &str = include_str!("../sql/recovery/lineage.sql");
const SET_LINE: &str = include_str!("../sql/recovery/set_line.sql");
const FORGET_JOURNAL: &str = include_str!("../sql/recovery/forget_journal.sql");
const SET_MARK: &str = include_str!("../sql/recovery/set_mark.sql");

type Answer<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl Recovery for SqliteStore {
    async fn lineage(&self) -> Answer<Lineage> {
        self.connections
            .read(|tx| {
                Ok(tx.query_row(SELECT_LINEAGE, [], |row| {
                    let record: Option<u64> = row.get(2)?;
                    let hash: Option<[u8; 32]> = row.get(3)?;
                    Ok(Lineage {
                        store_id: row.get(0)?,
                        line: row.get(1)?,
                        mark: record.zip(hash).map(|(record, hash)| JournalMark { record, hash }),
                        last_seq: row.get::<_, SeqColumn>(4)?.0,
                    })
                })?)
            })
            .await
    }

    async fn still(&self) -> Answer<Box<dyn Still + '_>> {
        Ok(Box::new(ServedAlone(self)))
    }

    async fn set_mark(&self, mark: JournalMark) -> Answer<()> {
        self.recover(move |tx| set_mark(tx, mark)).await
    }

    async fn forget_journal(&self) -> Answer<()> {
        self.recover(|tx| Ok(tx.execute(FORGET_JOURNAL, []).map(drop)?)).await
    }

    async fn unrecorded(&self) -> Answer<Vec<PurgeJob>> {
        self.connections.read(|tx| purge::recorded::unrecorded(tx)).await
    }

    async fn forget_recorded(&self, job_id: JobId, mark: JournalMark) -> Answer<()> {
        self.recover(move |tx| {
            purge::recorded::forget(tx, job_id)?;
            set_mark(tx, mark)
        })
        .await
    }

    async fn is_in_progress(&self, job_id: JobId) -> Answer<bool> {
        self.connections.read(move |tx| purge::recorded::is_in_progress(tx, job_id)).await
    }

    async fn count_current(&self, part: &RemovedPart) -> Answer<u64> {
        let part = part.clone();
        self.connections.read(move |tx| purge::recorded::count_current(tx, &part)).await
    }

    async fn fail_in_progress(&self, why: &str, issuer: &SharedIssuer) -> Answer<Vec<PurgeJob>> {
        let (why, issuer, now) = (why.to_owned(), Arc::clone(issuer), self.clock.now());
        self.recover(move |tx| purge::recorded::fail_in_progress(tx, &why, issuer.as_ref(), now)).await
    }

    async fn adopt(&self, purge: &RecordedPurge) -> Answer<()> {
        let purge = purge.clone();
        self.recover(move |tx| purge::recorded::adopt(tx, &purge)).await
    }

    async fn adopt_part(&self, job_id: JobId, part: &RemovedPart) -> Answer<u64> {
        let part = part.clone();
        self.recover(move |tx| purge::recorded::adopt_part(tx, job_id, &part)).await
    }

    async fn seal_adopted(&self, job_id: JobId) -> Answer<()> {
        let now = self.clock.now();
        self.recover(move |tx| purge::recorded::seal(tx, job_id, now)).await
    }
}

/// OK to keep nobody out, because whoever begins a line is the one server, and has not answered yet.
struct ServedAlone<'a>(&'a SqliteStore);

#[async_trait]
impl Still for ServedAlone<'_> {
    async fn lineage(&self) -> Answer<Lineage> {
        self.0.lineage().await
    }

    async fn begin_line(self: Box<Self>, line: Uuid, mark: JournalMark) -> Answer<()> {
        self.0
            .recover(move |tx| {
                tx.execute(SET_LINE, [line])?;
                set_mark(tx, mark)
            })
            .await
    }
}

impl SqliteStore {
    async fn recover<T: Send + 'static>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static) -> Answer<T> {
        self.connections.write(Durability::OnDisk, move |tx| -> Answer<T> { work(tx).map_err(Error::into) }).await
    }
}

/// Notes how far the journal is known.
pub(crate) fn set_mark(tx: &Transaction<'_>, mark: JournalMark) -> Result<()> {
    tx.prepare_cached(SET_MARK)?.execute(params![mark.record, mark.hash])?;
    Ok(())
}
