//! The audit record of a purge: opened with the kick-off, closed with the end (INV-5), never removed.

use lethe_fhir::Instant;
use lethe_jobs::JobState;
use lethe_purge::Counts;

use crate::{
    columns::{InstantColumn, NumberColumn},
    error::Result,
    transaction::Tx,
};

const OPEN: &str = include_str!("../../sql/purge/open_audit.sql");
const CLOSE: &str = include_str!("../../sql/purge/close_audit.sql");

/// Opens the record of a job that has just been inserted.
pub(super) async fn open(tx: &Tx, number: i64) -> Result<()> {
    tx.execute(OPEN, &[&number]).await?;
    Ok(())
}

/// Closes it with what became of the job; a retry that ends closes it again.
pub(super) async fn close(tx: &Tx, number: i64, closed_on: Instant, outcome: JobState, counts: Counts) -> Result<()> {
    let Counts { planned, deleted, spared, held, failed } = counts;
    tx.execute(
        CLOSE,
        &[
            &number,
            &InstantColumn(closed_on),
            &outcome.stored(),
            &NumberColumn(planned),
            &NumberColumn(deleted),
            &NumberColumn(spared),
            &NumberColumn(held),
            &NumberColumn(failed),
        ],
    )
    .await?;
    Ok(())
}
