//! Steps of any walk: tried until they succeed, with back-off, up to the limit of attempts.

use std::{error::Error, future::Future, time::Duration};

use lethe_jobs::AttemptLimits;
use lethe_store::{JobId, StoreError};
use tokio::sync::watch;

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
    let mut attempts = 0;
    loop {
        attempts += 1;
        match step().await {
            Ok(done) => return Ok(done),
            Err(StoreError::LeaseLost) => return Err(Halt::Leave),
            Err(error) => match limits.backoff_ms(attempts) {
                None => return Err(Halt::Failed(error)),
                Some(backoff_ms) => {
                    tracing::warn!(%job, attempts, backoff_ms, error = &error as &dyn Error, "a step of a job failed; it is tried again");
                    pause(backoff_ms, shutdown).await?;
                }
            },
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
