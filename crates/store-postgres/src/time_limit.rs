//! A statement that takes too long is given up, so that nobody can occupy a connection with a question.

use std::{future::Future, time::Duration};

use lethe_store::StoreError;

use crate::{error::Result, transaction::Tx};

/// Runs `work`, each of whose statements is given up after `limit` with [`StoreError::TooCostly`]. The transaction is of no further use then.
pub(crate) async fn within<T>(tx: &Tx, limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    set(tx, &format!("{}ms", limit.as_millis())).await?;
    let done = or_too_costly(limit, work.await)?;
    set(tx, "60s").await?;
    Ok(done)
}

/// What came of work under a limit that somebody has set: [`StoreError::TooCostly`] if it was given up.
pub(crate) fn or_too_costly<T>(limit: Duration, done: Result<T>) -> Result<T> {
    match done {
        Err(error) if error.is_canceled() => Err(StoreError::TooCostly(limit.as_secs()).into()),
        done => done,
    }
}

async fn set(tx: &Tx, limit: &str) -> Result<()> {
    tx.row("select set_config('statement_timeout', $1, true)", &[&limit]).await?;
    Ok(())
}
