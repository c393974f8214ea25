//! State × event of a job. Storage and HTTP say the same words; nothing else decides a transition.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Where a job stands.
///
/// ```text
///              claim             complete
///   Queued ───────────► Running ───────────► Successful
///     ▲ │                │  │ fail
///     │ │ cancel         │  └──────────────► Failed ──┐
///     │ │        cancel  ▼                            │ retry
///     │ │            Canceling ─► Canceled            │
///     │ └──────────────────────────► Canceled         │
///     └───────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits for a worker.
    Queued,
    /// A worker has it, or had it and will be succeeded by another.
    Running,
    /// Somebody asked to cancel; the worker has not yet stopped.
    Canceling,
    /// Ended: all done and verified.
    Successful,
    /// Ended: something was not done. May be retried.
    Failed,
    /// Ended: stopped on request.
    Canceled,
}

/// What happens to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobEvent {
    /// A worker takes it, for the first time or after another's lease ended.
    Claim,
    /// Somebody asks to cancel.
    Cancel,
    /// Somebody asks to run the failed parts again.
    Retry,
    /// The worker has done and verified everything.
    Complete,
    /// The worker has done what could be done, and some of it failed.
    Fail,
    /// The worker has stopped because of a cancel.
    Stop,
}

/// The event does not apply in this state; nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a job that is {state} does not take the event {event:?}")]
pub struct Refused {
    /// The state that refused.
    pub state: JobState,
    /// The event that was refused.
    pub event: JobEvent,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Canceling, Self::Successful, Self::Failed, Self::Canceled];

    /// The state after `event`.
    ///
    /// # Errors
    /// [`Refused`] when the event does not apply.
    pub fn transition(self, event: JobEvent) -> Result<Self, Refused> {
        use JobEvent::{Cancel, Claim, Complete, Fail, Retry, Stop};
        use JobState::{Canceled, Canceling, Failed, Queued, Running, Successful};
        match (self, event) {
            (Queued | Running, Claim) => Ok(Running),
            (Canceling, Claim | Cancel) => Ok(Canceling),
            (Queued, Cancel) => Ok(Canceled),
            (Running, Cancel) => Ok(Canceling),
            (Running, Complete) => Ok(Successful),
            (Running, Fail) => Ok(Failed),
            (Canceling, Stop) => Ok(Canceled),
            (Failed, Retry) => Ok(Queued),
            (Queued, Retry | Complete | Fail | Stop)
            | (Running, Retry | Stop)
            | (Canceling, Retry | Complete | Fail)
            | (Failed, Claim | Cancel | Complete | Fail | Stop)
            | (Successful | Canceled, Claim | Cancel | Retry | Complete | Fail | Stop) => Err(Refused { state: self, event }),
        }
    }

    /// Whether the job has ended; `Failed` has, though it may be retried.
    #[must_use]
    pub fn is_ended(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Canceling => false,
            Self::Successful | Self::Failed | Self::Canceled => true,
        }
    }

    /// The word on the wire; the three states before the end are one to a client.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Queued | Self::Running | Self::Canceling => "in progress",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The word in storage.
    #[must_use]
    pub fn stored(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Successful => "successful",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status())
    }
}

/// A stored state that this version does not know (INV-9).
#[derive(Debug, Error, PartialEq, Eq)]
#[error("job state '{0}' is not known to this version")]
pub struct UnknownJobState(pub String);

impl FromStr for JobState {
    type Err = UnknownJobState;

    fn from_str(stored: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.stored() == stored).ok_or_else(|| UnknownJobState(stored.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use JobEvent::*;
    use JobState::*;

    const EVENTS: [JobEvent; 6] = [Claim, Cancel, Retry, Complete, Fail, Stop];

    #[test]
    fn the_whole_table_of_states_and_events() {
        // One row a state, one column an event, in the order of EVENTS; None is a refusal.
        let table = [
            (Queued, [Some(Running), Some(Canceled), None, None, None, None]),
            (Running, [Some(Running), Some(Canceling), None, Some(Successful), Some(Failed), None]),
            (Canceling, [Some(Canceling), Some(Canceling), None, None, None, Some(Canceled)]),
            (Successful, [None, None, None, None, None, None]),
            (Failed, [None, None, Some(Queued), None, None, None]),
            (Canceled, [None, None, None, None, None, None]),
        ];
        for (state, row) in table {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(state.transition(event), expected.ok_or(Refused { state, event }), "{state:?} × {event:?}");
            }
        }
    }

    #[test]
    fn stored_words_are_read_back_and_others_refused() {
        for state in JobState::ALL {
            assert_eq!(state.stored().parse(), Ok(state));
        }
        assert!("done".parse::<JobState>().is_err());
    }
}
