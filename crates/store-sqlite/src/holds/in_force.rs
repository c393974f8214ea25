//! The holds that are in force in an account, as a purge asks for them; and the end of a hold.

use lethe_auth::AccountId;
use lethe_fhir::Instant;
use lethe_purge::holds::HoldsInForce;
use lethe_store::StoreError;
use rusqlite::{Connection, params};

use super::target_of;
use crate::{columns::InstantColumn, error::Result};

const SELECT_IN_FORCE: &str = include_str!("../../sql/holds/in_force.sql");
const END: &str = include_str!("../../sql/holds/end_hold.sql");
const DELETE_TARGET: &str = include_str!("../../sql/holds/delete_target.sql");
const SELECT_EXPIRED: &str = include_str!("../../sql/holds/expired_of_job.sql");
const COUNT_ENDED_TARGETS: &str = include_str!("../../sql/holds/count_ended_targets.sql");

/// The holds that are in force in an account, each known by its number.
pub(crate) fn in_force(connection: &Connection, account_id: AccountId, now: Instant) -> Result<HoldsInForce<i64>> {
    let mut statement = connection.prepare_cached(SELECT_IN_FORCE)?;
    let rows = statement.query_map(params![account_id.0, InstantColumn(now)], |row| {
        let kind: String = row.get(1)?;
        Ok((row.get::<_, i64>(0)?, target_of(&kind, row, 2)?, kind))
    })?;
    let mut holds = Vec::new();
    for row in rows {
        let (number, target, kind) = row?;
        // A hold that cannot be read must not let anything go.
        let target = target.ok_or_else(|| StoreError::NotUnderstood(format!("legal_hold {number} of kind '{kind}' names nothing")))?;
        holds.push((number, target));
    }
    Ok(HoldsInForce::new(holds))
}

/// Ends a hold and forgets what it named.
pub(super) fn end(connection: &Connection, number: i64, now: Instant, lifted_by: Option<&str>) -> Result<()> {
    connection.prepare_cached(END)?.execute(params![number, InstantColumn(now), lifted_by])?;
    connection.prepare_cached(DELETE_TARGET)?.execute([number])?;
    Ok(())
}

/// Ends the holds that have expired in accounts that lost something to a job: what they named may be gone.
pub(crate) fn end_expired(connection: &Connection, job_number: i64, now: Instant) -> Result<()> {
    let mut statement = connection.prepare_cached(SELECT_EXPIRED)?;
    let numbers: Vec<i64> =
        statement.query_map(params![job_number, InstantColumn(now)], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    numbers.into_iter().try_for_each(|number| end(connection, number, now, None))
}

/// Targets of holds that have ended, in accounts that lost something to a job.
pub(crate) fn count_targets_of_ended(connection: &Connection, job_number: i64) -> Result<u64> {
    Ok(connection.prepare_cached(COUNT_ENDED_TARGETS)?.query_row([job_number], |row| row.get(0))?)
}
