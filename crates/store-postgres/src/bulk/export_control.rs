//! What an owner does with an export: start, look, remove.

use lethe_auth::Scope;
use lethe_fhir::Instant;
use lethe_store::{EXPORTS_KEPT_MAX, ExportJob, ExportKickOff, JobId, NewExport};

use super::{
    Result,
    export_job::{self, stored_level},
};
use crate::{
    PostgresStore,
    columns::{InstantColumn, SeqColumn, number, seq},
    connections::Durability,
    purge::{TAKE_WATERMARK, lock_owner, write_types},
    transaction::Tx,
};

const SELECT_IN_PROGRESS: &str = include_str!("../../sql/bulk/export_in_progress.sql");
const COUNT: &str = include_str!("../../sql/bulk/count_exports.sql");
const SELECT_NEWEST_TIME: &str = include_str!("../../sql/bulk/newest_time.sql");
const RAISE_TIMES: &str = include_str!("../../sql/bulk/raise_times.sql");
const INSERT: &str = include_str!("../../sql/bulk/insert_export.sql");
const INSERT_QUESTION: &str = include_str!("../../sql/bulk/insert_question.sql");
const DELETE_QUESTION: &str = include_str!("../../sql/bulk/delete_question.sql");
const SELECT_QUESTIONS: &str = include_str!("../../sql/bulk/questions_before_purge.sql");
const DELETE: &str = include_str!("../../sql/bulk/delete_export.sql");
const DELETE_FILES: &str = include_str!("../../sql/bulk/delete_export_files.sql");

pub(super) async fn kick_off(store: &PostgresStore, export: &NewExport) -> Result<ExportKickOff> {
    let now = store.clock.now();
    Ok(store.connections.write(Durability::OnDisk, |tx| start(tx, export, now)).await?)
}

async fn start(tx: Tx, export: &NewExport, now: Instant) -> crate::error::Result<ExportKickOff> {
    lock_owner(&tx, &export.owner).await?;
    let (client, account) = (&export.owner.client_id().0, export.owner.account_id().map(|account_id| account_id.0));
    if let Some(running) = tx.row_if_any(SELECT_IN_PROGRESS, &[client, &account]).await? {
        return Ok(ExportKickOff::Conflict { running: running.try_get(0)? });
    }
    if number(&tx.row(COUNT, &[client, &account]).await?, 0)? >= EXPORTS_KEPT_MAX {
        return Ok(ExportKickOff::TooMany);
    }
    let watermark = SeqColumn(seq(&tx.row(TAKE_WATERMARK, &[]).await?, 0)?);
    let newest = tx.row(SELECT_NEWEST_TIME, &[client, &account]).await?.try_get::<_, InstantColumn>(0)?.0;
    let transaction_time = now.max(newest);
    // What is stored from now on gets a later time, be it in the same millisecond: `_since` of the next export neither misses nor repeats it.
    tx.execute(RAISE_TIMES, &[client, &account, &InstantColumn(transaction_time.plus_ms(1))]).await?;
    let (level, question) = stored_level(&export.selection);
    let inserted = tx
        .row(
            INSERT,
            &[
                &export.job_id,
                client,
                &account,
                &level,
                &export.selection.types.as_deref().map(write_types),
                &export.selection.since.map(InstantColumn),
                &export.selection.bases.addresses().collect::<Vec<_>>().join(" "),
                &watermark,
                &InstantColumn(transaction_time),
                &InstantColumn(now),
            ],
        )
        .await?;
    let number: i64 = inserted.try_get(0)?;
    if !question.is_empty() {
        tx.execute(INSERT_QUESTION, &[&number, client, &account, &question.to_stored()]).await?;
    }
    Ok(ExportKickOff::Started(Box::new(export_job::job(&tx, number).await?)))
}

pub(super) async fn export_job(store: &PostgresStore, owner: &Scope, job_id: JobId) -> Result<Option<ExportJob>> {
    let now = store.clock.now();
    let look = |tx: Tx| async move {
        match export_job::number_of(&tx, owner, job_id, now).await? {
            Some(number) => Ok(Some(export_job::job(&tx, number).await?)),
            None => Ok(None),
        }
    };
    store.connections.read(look).await
}

/// An export has nothing to settle: a cancel removes its rows at once, and a worker that has it finds its lease lost.
pub(super) async fn remove(store: &PostgresStore, owner: &Scope, job_id: JobId) -> Result<bool> {
    let now = store.clock.now();
    let work = |tx: Tx| async move {
        let Some(number) = export_job::number_of(&tx, owner, job_id, now).await? else { return Ok(false) };
        delete(&tx, number).await?;
        Ok(true)
    };
    Ok(store.connections.write(Durability::OnDisk, work).await?)
}

/// Removes the rows of a job: its own first, for which a worker that is adding files to it is waited for.
pub(super) async fn delete(tx: &Tx, number: i64) -> crate::error::Result<()> {
    tx.execute(DELETE, &[&number]).await?;
    tx.execute(DELETE_FILES, &[&number]).await?;
    tx.execute(DELETE_QUESTION, &[&number]).await?;
    Ok(())
}

/// The exports that were asked for before a purge was, by what it may have removed: a Group, or conditions that quote values.
async fn questions_before(tx: &Tx, purge_number: i64) -> crate::error::Result<Vec<i64>> {
    let rows = tx.rows(SELECT_QUESTIONS, &[&purge_number]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Removes them, for a purge that has removed something.
pub(crate) async fn forget_questions(tx: &Tx, purge_number: i64) -> crate::error::Result<()> {
    for number in questions_before(tx, purge_number).await? {
        delete(tx, number).await?;
    }
    Ok(())
}

/// How many are left.
pub(crate) async fn count_questions(tx: &Tx, purge_number: i64) -> crate::error::Result<u64> {
    Ok(questions_before(tx, purge_number).await?.len() as u64)
}
