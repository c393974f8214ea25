//! The audit record of a purge: opened with the kick-off, closed with the end (INV-5), never removed.

use lethe_fhir::Instant;
use lethe_jobs::JobState;
use lethe_purge::Counts;
use rusqlite::{Connection, params};

use crate::{columns::InstantColumn, error::Result};

const OPEN: &str = include_str!("../../sql/purge/open_audit.sql");
const CLOSE: &str = include_str!("../../sql/purge/close_audit.sql");

/// Opens the record of a job that has just been inserted.
pub(super) fn open(connection: &Connection, number: i64) -> Result<()> {
    connection.prepare_cached(OPEN)?.execute([number])?;
    Ok(())
}

/// Closes it with what became of the job; a retry that ends closes it again.
pub(super) fn close(connection: &Connection, number: i64, closed_on: Instant, outcome: JobState, counts: Counts) -> Result<()> {
    connection.prepare_cached(CLOSE)?.execute(params![
        number,
        InstantColumn(closed_on),
        outcome.stored(),
        counts.planned,
        counts.deleted,
        counts.spared,
        counts.held,
        counts.failed
    ])?;
    Ok(())
}
