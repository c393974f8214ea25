//! Which patient or Group a purge is of, and the conditions on types: kept apart from the job, and not longer than until its plan is sealed.

use lethe_search::export::ExportQuestion;
use lethe_store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;

const INSERT: &str = include_str!("../../sql/purge/insert_question.sql");
const SELECT: &str = include_str!("../../sql/purge/question.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_question.sql");
const COUNT: &str = include_str!("../../sql/purge/count_questions.sql");

/// Keeps the question of a job that has just been stored.
pub(super) fn keep(tx: &Connection, job: i64, question: &ExportQuestion) -> Result<()> {
    if !question.is_empty() {
        tx.prepare_cached(INSERT)?.execute(params![job, question.to_stored()])?;
    }
    Ok(())
}

/// The question of a job whose plan is being made; an empty one if it has none.
pub(super) fn read(connection: &Connection, job: i64) -> Result<ExportQuestion> {
    let stored: Option<String> = connection.prepare_cached(SELECT)?.query_row([job], |row| row.get(0)).optional()?;
    match stored {
        None => Ok(ExportQuestion::default()),
        Some(stored) => {
            ExportQuestion::from_stored(&stored).ok_or_else(|| StoreError::NotUnderstood("purge_question.question".to_owned()).into())
        }
    }
}

/// Forgets the question of a job.
pub(super) fn clear(tx: &Connection, job: i64) -> Result<()> {
    tx.prepare_cached(CLEAR)?.execute([job])?;
    Ok(())
}

/// How many questions of a job are left.
pub(super) fn count(connection: &Connection, job: i64) -> Result<u64> {
    Ok(connection.prepare_cached(COUNT)?.query_row([job], |row| row.get(0))?)
}
