//! Conditions on `meta.lastUpdated`.

use lethe_fhir::Instant;

/// One condition on `meta.lastUpdated`, in milliseconds, half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastUpdatedFilter {
    /// In `[low, high)`.
    Within(Instant, Instant),
    /// Not in `[low, high)`.
    Outside(Instant, Instant),
}

impl LastUpdatedFilter {
    /// Whether `instant` passes.
    #[must_use]
    pub fn admits(self, instant: Instant) -> bool {
        match self {
            Self::Within(low, high) => low <= instant && instant < high,
            Self::Outside(low, high) => instant < low || high <= instant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_is_not_outside() {
        let [before, low, high] = [1, 2, 3].map(Instant::from_unix_ms);
        for (instant, is_within) in [(before, false), (low, true), (high, false)] {
            assert_eq!(LastUpdatedFilter::Within(low, high).admits(instant), is_within);
            assert_eq!(LastUpdatedFilter::Outside(low, high).admits(instant), !is_within);
        }
    }
}
