//! Which patient or Group a purge is of, and the conditions on types: kept apart from the job, and not longer than until its plan is sealed.

use lethe_search::export::ExportQuestion;
use lethe_store::StoreError;

use crate::{columns::number, error::Result, transaction::Tx};

const INSERT: &str = include_str!("../../sql/purge/insert_question.sql");
const SELECT: &str = include_str!("../../sql/purge/question.sql");
const CLEAR: &str = include_str!("../../sql/purge/clear_question.sql");
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

/// How many questions of a job are left.
pub(super) async fn count(tx: &Tx, job: i64) -> Result<u64> {
    number(&tx.row(COUNT, &[&job]).await?, 0)
}
