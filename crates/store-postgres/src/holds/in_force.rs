//! The holds that are in force in an account, as a purge asks for them; and the end of a hold.

use lethe_auth::AccountId;
use lethe_fhir::Instant;
use lethe_purge::holds::HoldsInForce;
use lethe_store::StoreError;

use super::target_of;
use crate::{
    columns::{InstantColumn, number},
    error::Result,
    transaction::Tx,
};

const SELECT_IN_FORCE: &str = include_str!("../../sql/holds/in_force.sql");
const END: &str = include_str!("../../sql/holds/end_hold.sql");
const DELETE_TARGET: &str = include_str!("../../sql/holds/delete_target.sql");
const SELECT_EXPIRED: &str = include_str!("../../sql/holds/expired_of_job.sql");
const COUNT_ENDED_TARGETS: &str = include_str!("../../sql/holds/count_ended_targets.sql");

/// The holds that are in force in an account, each known by its number.
pub(crate) async fn in_force(tx: &Tx, account_id: AccountId, now: Instant) -> Result<HoldsInForce<i64>> {
    let mut holds = Vec::new();
    for row in tx.rows(SELECT_IN_FORCE, &[&account_id.0, &InstantColumn(now)]).await? {
        let (number, kind): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
        // A hold that cannot be read must not let anything go.
        let target = target_of(kind, &row, 2)?
            .ok_or_else(|| StoreError::NotUnderstood(format!("legal_hold {number} of kind '{kind}' names nothing")))?;
        holds.push((number, target));
    }
    Ok(HoldsInForce::new(holds))
}

/// Ends a hold and forgets what it named.
pub(super) async fn end(tx: &Tx, number: i64, now: Instant, lifted_by: Option<&str>) -> Result<()> {
    tx.execute(END, &[&number, &InstantColumn(now), &lifted_by]).await?;
    tx.execute(DELETE_TARGET, &[&number]).await?;
    Ok(())
}

/// Ends the holds that have expired in accounts that lost something to a job: what they named may be gone.
pub(crate) async fn end_expired(tx: &Tx, job_number: i64, now: Instant) -> Result<()> {
    for row in tx.rows(SELECT_EXPIRED, &[&job_number, &InstantColumn(now)]).await? {
        end(tx, row.try_get(0)?, now, None).await?;
    }
    Ok(())
}

/// Targets of holds that have ended, in accounts that lost something to a job.
pub(crate) async fn count_targets_of_ended(tx: &Tx, job_number: i64) -> Result<u64> {
    number(&tx.row(COUNT_ENDED_TARGETS, &[&job_number]).await?, 0)
}
