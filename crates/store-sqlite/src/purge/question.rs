//! Which patient or Group a purge is of, and the conditions on types: kept apart from the job, until its plan is sealed. A
//! job that fails before that keeps it for its retry, but not for ever, and not beside another purge of the same.

use lethe_auth::Scope;
use lethe_fhir::Instant;
use lethe_search::export::ExportQuestion;
use lethe_store::{QUESTION_KEPT_MS, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{columns::InstantColumn, error::Result};

const INSERT: &str = include_str!("../../sql/purge/insert_question.sql");
const SELECT: &str = include_str!("../../sql/purge/question.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_question.sql");
const CLEAR_OF_FAILED: &str = include_str!("../../sql/purge/clear_questions_of_failed.sql");
const CLEAR_EXPIRED: &str = include_str!("../../sql/purge/clear_expired_questions.sql");
const CLEAR_ALL: &str = include_str!("../../sql/purge/clear_questions.sql");
const HAS_EXPIRED: &str = include_str!("../../sql/purge/has_expired_question.sql");
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

/// Forgets those of failed jobs that a new one of this owner overlaps: it is asked for anew, or by something else.
pub(super) fn clear_of_failed(tx: &Connection, owner: &Scope) -> Result<()> {
    let account = owner.account_id().map(|account_id| account_id.0);
    tx.prepare_cached(CLEAR_OF_FAILED)?.execute(params![owner.client_id().0, account])?;
    Ok(())
}

/// Forgets them all: of jobs that belong to an older copy of the store.
pub(super) fn clear_all(tx: &Connection) -> Result<()> {
    tx.execute(CLEAR_ALL, [])?;
    Ok(())
}

/// Whether a failed job has kept its question long enough.
pub(crate) fn has_expired(connection: &Connection, now: Instant) -> Result<bool> {
    Ok(connection.prepare_cached(HAS_EXPIRED)?.query_row([InstantColumn(now.plus_ms(-QUESTION_KEPT_MS))], |row| row.get(0))?)
}

/// Forgets the questions of such jobs; returns how many.
pub(crate) fn clear_expired(tx: &Connection, now: Instant) -> Result<u64> {
    Ok(tx.prepare_cached(CLEAR_EXPIRED)?.execute([InstantColumn(now.plus_ms(-QUESTION_KEPT_MS))])? as u64)
}

/// How many questions of a job are left.
pub(super) fn count(connection: &Connection, job: i64) -> Result<u64> {
    Ok(connection.prepare_cached(COUNT)?.query_row([job], |row| row.get(0))?)
}
