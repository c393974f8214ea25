//! How long a worker may be silent before another may take its job. Each step renews the lease.

use std::time::Duration;

use lethe_fhir::Instant;

use crate::PostgresStore;

/// If nobody says otherwise.
pub(crate) const LEASE_DEFAULT: Duration = Duration::from_secs(300);
/// However long a lease is.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// What a step goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseTimes {
    pub(crate) now: Instant,
    /// When a lease ends that is given now.
    pub(crate) ends: Instant,
    /// A lease that ends later was given before the clock was set back, and counts as ended: none that is given now lasts as long.
    pub(crate) latest: Instant,
}

impl LeaseTimes {
    /// Whether a lease that ends then has ended.
    pub(crate) fn have_passed(self, lease_expires_on: Option<Instant>) -> bool {
        lease_expires_on.is_none_or(|expires_on| expires_on <= self.now || expires_on > self.latest)
    }
}

impl PostgresStore {
    pub(crate) fn lease_times(&self) -> LeaseTimes {
        let (now, lease_ms) = (self.clock.now(), i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX));
        let longest_ms = lease_ms.max(LEASE_DEFAULT.as_millis() as i64);
        LeaseTimes { now, ends: now.plus_ms(lease_ms), latest: now.plus_ms(longest_ms.saturating_mul(2)) }
    }
}

/// How long a transaction may be silent: a server that is stopped in the middle of one has given it up before its lease ends.
pub(crate) fn silence_max(lease: Duration) -> Duration {
    (lease / 2).min(SILENCE_MAX)
}
