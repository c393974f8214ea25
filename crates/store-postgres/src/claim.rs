//! Which worker gets the oldest job that waits: one statement looks and claims. It takes no lock to look; of two who found the same job, the later one
//! finds another fence than the one he saw, gets nothing, and asks again.

use lethe_jobs::{Fence, JobEvent, JobState};
use lethe_store::StoreError;

use crate::{
    columns::{InstantColumn, number},
    error::Result,
    lease_times::LeaseTimes,
    transaction::Tx,
};

/// How often somebody who was later asks again at once; each time another has got a job.
const ASKED_MAX: u32 = 16;

/// The number and the new fence of the job that `statement` claims; `None` if none is free.
pub(crate) async fn oldest(tx: &Tx, statement: &str, times: LeaseTimes) -> Result<Option<(i64, Fence)>> {
    let (now, latest, ends) = (InstantColumn(times.now), InstantColumn(times.latest), InstantColumn(times.ends));
    for _ in 0..ASKED_MAX {
        let Some(row) = tx.row_if_any(statement, &[&now, &latest, &ends]).await? else { return Ok(None) };
        let Some(claimed) = row.try_get::<_, Option<&str>>(2)? else { continue };
        // The statement says once more what the rules say.
        let (from, claimed) = (state(row.try_get(1)?)?, state(claimed)?);
        if from.transition(JobEvent::Claim) != Ok(claimed) {
            let text = format!("a job that was {} is {} when it is claimed", from.stored(), claimed.stored());
            return Err(StoreError::NotUnderstood(text).into());
        }
        return Ok(Some((row.try_get(0)?, Fence(number(&row, 3)?))));
    }
    Ok(None)
}

fn state(stored: &str) -> Result<JobState> {
    Ok(stored.parse().map_err(|unknown: lethe_jobs::UnknownJobState| StoreError::NotUnderstood(unknown.to_string()))?)
}
