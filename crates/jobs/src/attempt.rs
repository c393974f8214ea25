//! Attempts of one batch: how many, how far apart, and when to give up.

use std::str::FromStr;

use thiserror::Error;

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchState {
    /// To be run, perhaps not before some time.
    Pending,
    /// Claimed: an attempt has been counted (INV-6).
    Running,
    /// Its outcome is committed.
    Done,
    /// Out of attempts; its cause is stored.
    Failed,
}

/// A stored state that this version does not know (INV-9).
#[derive(Debug, Error, PartialEq, Eq)]
#[error("batch state '{0}' is not known to this version")]
pub struct UnknownBatchState(pub String);

impl BatchState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Running, Self::Done, Self::Failed];

    /// The word in storage.
    #[must_use]
    pub fn stored(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for BatchState {
    type Err = UnknownBatchState;

    fn from_str(stored: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.stored() == stored).ok_or_else(|| UnknownBatchState(stored.to_owned()))
    }
}

/// How often a batch is tried, and how long to wait in between.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimits {
    /// Attempts before the batch has failed; at least 1.
    pub attempts_max: u32,
    /// The wait after the first attempt; it doubles with each further one.
    pub first_backoff_ms: u64,
    /// The longest wait.
    pub backoff_max_ms: u64,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        Self { attempts_max: 5, first_backoff_ms: 200, backoff_max_ms: 30_000 }
    }
}

impl AttemptLimits {
    /// Whether a batch that has just been claimed for attempt number `attempts` must not be run again: attempts that end with an answer are
    /// bounded by [`AttemptLimits::backoff_ms`], so this many means that the process died while it ran, over and over.
    #[must_use]
    pub fn is_exhausted(&self, attempts: u32) -> bool {
        attempts > self.attempts_max.saturating_mul(2)
    }

    /// The wait after attempt number `attempts` failed, or `None` when that was the last.
    #[must_use]
    pub fn backoff_ms(&self, attempts: u32) -> Option<u64> {
        if attempts >= self.attempts_max {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(32);
        Some(self.first_backoff_ms.saturating_mul(1 << doublings).min(self.backoff_max_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_end_with_the_last_attempt() {
        let limits = AttemptLimits { attempts_max: 5, first_backoff_ms: 200, backoff_max_ms: 1_000 };
        let waits: Vec<_> = (1..=6).map(|attempts| limits.backoff_ms(attempts)).collect();
        assert_eq!(waits, [Some(200), Some(400), Some(800), Some(1_000), None, None]);
    }

    #[test]
    fn attempts_without_an_answer_are_bounded_too() {
        let limits = AttemptLimits { attempts_max: 5, ..AttemptLimits::default() };
        assert!(!limits.is_exhausted(10));
        assert!(limits.is_exhausted(11));
    }

    #[test]
    fn stored_words_are_read_back_and_others_refused() {
        for state in BatchState::ALL {
            assert_eq!(state.stored().parse(), Ok(state));
        }
        assert!("lost".parse::<BatchState>().is_err());
    }
}
