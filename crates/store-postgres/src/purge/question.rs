//! Which patient or Group a purge is of, and the conditions on types: kept apart from the job, until its plan is sealed. A
//! job that fails before that keeps it for its retry, but not for ever, and not beside another purge of the same.

use lethe_auth::Scope;
use lethe_fhir::Instant;
use lethe_search::export::ExportQuestion;
use lethe_store::{QUESTION_KEPT_MS, StoreError};

use crate::{
    columns::{InstantColumn, number},
    error::Result,
    transaction::Tx,
};

const INSERT: &str = include_str!("../../sql/purge/insert_question.sql");
const SELECT: &str = include_str!("../../sql/purge/question.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_question.sql");
const CLEAR_OF_FAILED: &str = include_str!("../../sql/purge/clear_questions_of_failed.sql");
const CLEAR_EXPIRED: &str = include_str!("../../sql/purge/clear_expired_questions.sql");
const CLEAR_ALL: &str = include_str!("../../sql/purge/clear_questions.sql");
const HAS_EXPIRED: &str = include_str!("../../sql/purge/has_expired_question.sql");
const COUNT: &str = include_str!("../../sql/purge/count_questions.sql");

/// Keeps the question of a job that has just been stored.
pub(super) async fn keep(tx: &Tx, job: i64, question: &ExportQuestion) -> Result<()> {
    if !question.is_empty() {
        tx.execute(INSERT, &[&job, &question.to_stored()]).await?;
    }
    Ok(())
}

/// The question of a job whose plan is being made; an empty one if it has none.
pub(super) async fn read(tx: &Tx, job: i64) -> Result<ExportQuestion> {
    let Some(row) = tx.row_if_any(SELECT, &[&job]).await? else { return Ok(ExportQuestion::default()) };
    let not_understood = || StoreError::NotUnderstood("purge_question.question".to_owned());
    Ok(ExportQuestion::from_stored(row.try_get(0)?).ok_or_else(not_understood)?)
}

/// Forgets the question of a job.
pub(super) async fn clear(tx: &Tx, job: i64) -> Result<()> {
    tx.execute(CLEAR, &[&job]).await?;
    Ok(())
}

/// Forgets those of failed jobs that a new one of this owner overlaps: it is asked for anew, or by something else.
pub(super) async fn clear_of_failed(tx: &Tx, owner: &Scope) -> Result<()> {
    let account = owner.account_id().map(|account_id| account_id.0);
    tx.execute(CLEAR_OF_FAILED, &[&owner.client_id().0, &account]).await?;
    Ok(())
}

/// Forgets them all: of jobs that belong to an older copy of the store.
pub(super) async fn clear_all(tx: &Tx) -> Result<()> {
    tx.execute(CLEAR_ALL, &[]).await?;
    Ok(())
}

/// Whether a failed job has kept its question long enough.
pub(crate) async fn has_expired(tx: &Tx, now: Instant) -> Result<bool> {
    Ok(tx.row(HAS_EXPIRED, &[&InstantColumn(now.plus_ms(-QUESTION_KEPT_MS))]).await?.try_get(0)?)
}

/// Forgets the questions of such jobs; returns how many.
pub(crate) async fn clear_expired(tx: &Tx, now: Instant) -> Result<u64> {
    tx.execute(CLEAR_EXPIRED, &[&InstantColumn(now.plus_ms(-QUESTION_KEPT_MS))]).await
}

/// How many questions of a job are left.
pub(super) async fn count(tx: &Tx, job: i64) -> Result<u64> {
    number(&tx.row(COUNT, &[&job]).await?, 0)
}
