//! What an owner does with an export: start, look, remove.

use lethe_auth::Scope;
use lethe_fhir::Instant;
use lethe_store::{EXPORTS_KEPT_MAX, ExportJob, ExportKickOff, JobId, NewExport};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    Result,
    export_job::{self, stored_level},
};
use crate::{
    SqliteStore,
    columns::{InstantColumn, SeqColumn},
    connections::Durability,
    purge::{SELECT_WATERMARK, write_types},
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

pub(super) async fn kick_off(store: &SqliteStore, export: NewExport) -> Result<ExportKickOff> {
    let now = store.clock.now();
    store.connections.write(Durability::OnDisk, move |tx| -> Result<ExportKickOff> { Ok(start(tx, &export, now)?) }).await
}

fn start(tx: &Transaction<'_>, export: &NewExport, now: Instant) -> crate::error::Result<ExportKickOff> {
    let (client, account) = (&export.owner.client_id().0, export.owner.account_id().map(|account_id| account_id.0));
    let running = tx.prepare_cached(SELECT_IN_PROGRESS)?.query_row(params![client, account], |row| row.get(0)).optional()?;
    if let Some(running) = running {
        return Ok(ExportKickOff::Conflict { running });
    }
    let kept: u64 = tx.prepare_cached(COUNT)?.query_row(params![client, account], |row| row.get(0))?;
    if kept >= EXPORTS_KEPT_MAX {
        return Ok(ExportKickOff::TooMany);
    }
    let watermark: SeqColumn = tx.prepare_cached(SELECT_WATERMARK)?.query_row([], |row| row.get(0))?;
    let newest = tx.prepare_cached(SELECT_NEWEST_TIME)?.query_row(params![client, account], |row| row.get::<_, InstantColumn>(0))?.0;
    let transaction_time = now.max(newest);
    // What is stored from now on gets a later time, be it in the same millisecond: `_since` of the next export neither misses nor repeats it.
    tx.prepare_cached(RAISE_TIMES)?.execute(params![client, account, InstantColumn(transaction_time.plus_ms(1))])?;
    let (level, question) = stored_level(&export.selection);
    tx.prepare_cached(INSERT)?.execute(params![
        export.job_id,
        client,
        account,
        level,
        export.selection.types.as_deref().map(write_types),
        export.selection.since.map(InstantColumn),
        export.selection.bases.addresses().collect::<Vec<_>>().join(" "),
        watermark,
        InstantColumn(transaction_time),
        InstantColumn(now)
    ])?;
    let number = tx.last_insert_rowid();
    if !question.is_empty() {
        tx.prepare_cached(INSERT_QUESTION)?.execute(params![number, client, account, question.to_stored()])?;
    }
    Ok(ExportKickOff::Started(Box::new(export_job::job(tx, number)?)))
}

pub(super) async fn export_job(store: &SqliteStore, owner: Scope, job_id: JobId) -> Result<Option<ExportJob>> {
    let now = store.clock.now();
    store
        .connections
        .read(move |tx| export_job::number_of(tx, &owner, job_id, now)?.map(|number| export_job::job(tx, number)).transpose())
        .await
}

/// An export has nothing to settle: a cancel removes its rows at once, and a worker that has it finds its lease lost.
pub(super) async fn remove(store: &SqliteStore, owner: Scope, job_id: JobId) -> Result<bool> {
    let now = store.clock.now();
    store
        .connections
        .write(Durability::OnDisk, move |tx| -> Result<bool> {
            let Some(number) = export_job::number_of(tx, &owner, job_id, now)? else { return Ok(false) };
            delete(tx, number)?;
            Ok(true)
        })
        .await
}

/// Removes the rows of a job.
pub(super) fn delete(tx: &Transaction<'_>, number: i64) -> crate::error::Result<()> {
    tx.prepare_cached(DELETE_FILES)?.execute([number])?;
    tx.prepare_cached(DELETE_QUESTION)?.execute([number])?;
    tx.prepare_cached(DELETE)?.execute([number])?;
    Ok(())
}

/// The exports that were asked for before a purge was, by what it may have removed: a Group, or conditions that quote values.
fn questions_before(connection: &Connection, purge_number: i64) -> crate::error::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(SELECT_QUESTIONS)?;
    Ok(statement.query_map([purge_number], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Removes them, for a purge that has removed something.
pub(crate) fn forget_questions(tx: &Transaction<'_>, purge_number: i64) -> crate::error::Result<()> {
    questions_before(tx, purge_number)?.into_iter().try_for_each(|number| delete(tx, number))
}

/// How many are left.
pub(crate) fn count_questions(connection: &Connection, purge_number: i64) -> crate::error::Result<u64> {
    Ok(questions_before(connection, purge_number)?.len() as u64)
}
