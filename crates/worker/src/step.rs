//! Steps of any walk: tried until they succeed, with back-off, up to the limit of attempts.

use std::{error::Error, future::Future, time::Duration};

use lethe_jobs::AttemptLimits;
use lethe_store::{JobId, StoreError};
use tokio::sync::watch;

/// The longest pause before a database that is out of reach is tried again, in milliseconds.
const OUT_OF_REACH_PAUSE_MAX_MS: u64 = 1_000;

/// Why a walk ends before the job has.
pub(crate) enum Halt {
    /// The server stops, another worker has the job, or it was removed: leave everything as it is.
    Leave,
    /// A step is out of attempts.
    Failed(StoreError),
}

/// Runs a step until it succeeds.
pub(crate) async fn persist<T, F: Future<Output = Result<T, StoreError>>>(
    job: JobId,
    limits: AttemptLimits,
    shutdown: &watch::Receiver<bool>,
    step: impl Fn() -> F,
) -> Result<T, Halt> {
    let (mut attempts, mut out_of_reach) = (0, 0);
    loop {
        match step().await {
            Ok(done) => return Ok(done),
            Err(StoreError::LeaseLost) => return Err(Halt::Leave),
            // However long that takes: a job does not fail because its database restarts.
            Err(error @ StoreError::OutOfReach(_)) => {
                if out_of_reach == 0 {
                    tracing::warn!(%job, error = &error as &dyn Error, "the database is out of reach; a job goes on when it is back");
                }
                out_of_reach += 1;
                let backoff = AttemptLimits { attempts_max: u32::MAX, backoff_max_ms: OUT_OF_REACH_PAUSE_MAX_MS, ..limits };
                pause(backoff.backoff_ms(out_of_reach).unwrap_or(OUT_OF_REACH_PAUSE_MAX_MS), shutdown).await?;
            }
            Err(error) => {
                attempts += 1;
                let Some(backoff_ms) = limits.backoff_ms(attempts) else { return Err(Halt::Failed(error)) };
                tracing::warn!(%job, attempts, backoff_ms, error = &error as &dyn Error, "a step of a job failed; it is tried again");
                pause(backoff_ms, shutdown).await?;
            }
        }
    }
}

/// Waits, unless the server stops.
pub(crate) async fn pause(wait_ms: u64, shutdown: &watch::Receiver<bool>) -> Result<(), Halt> {
    let mut shutdown = shutdown.clone();
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(wait_ms)) => Ok(()),
        _ = shutdown.wait_for(|is_down| *is_down) => Err(Halt::Leave),
    }
}

/// Breaks `work` off when the server stops: for what takes long, and is begun anew or gone on with by whoever comes next, wherever it ends.
pub(crate) async fn unless_down<T>(shutdown: &watch::Receiver<bool>, work: impl Future<Output = Result<T, Halt>>) -> Result<T, Halt> {
    let mut shutdown = shutdown.clone();
    tokio::select! {
        done = work => done,
        Ok(_) = shutdown.wait_for(|is_down| *is_down) => Err(Halt::Leave),
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
